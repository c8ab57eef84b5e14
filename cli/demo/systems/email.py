"""E-mail in the demo: mails to one and to several, one with an attachment, one that nobody could deliver."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.demo.messages import again, broken, message, sample, spread
from cli.demo.scenario import Outside, Sample, Scenario
from core.texts import Language, Text
from sandbox.email import EmailSandbox

SYSTEM = "python-services"  # as Camunda's side addresses mails: they arrive in the default queue
_TOPIC = "send_email"


class EmailScenario(Scenario):
    name = "email"
    title = Text("e-mail", "почта")
    input_queues = ("default.queue", "email.queue")
    sent_queues = ("email.sent.queue",)
    fewest = 3  # a mail, one with an attachment, the one for nobody
    has_people = False

    def __init__(self) -> None:
        self.server = EmailSandbox()

    @contextmanager
    def servers(self) -> Iterator[Text]:
        with self.server as server:
            yield Text(f"mail server on {server.address}", f"почтовый сервер на {server.address}")

    def variables(self, folder: Path) -> dict[str, str]:
        return {
            "EMAIL_SMTP_HOST": "127.0.0.1",
            "EMAIL_SMTP_PORT": str(self.server.port),
            "EMAIL_TLS": "none",
            "EMAIL_FROM": "camunda@example.com",
            "EMAIL_AMBIGUOUS_WAIT": "1",
        }

    def samples(self, tasks: int, now: datetime) -> list[Sample]:
        everyday = [_mail(number, now) for number in range(tasks - self.fewest + 1)]
        specials = [
            again(everyday[len(everyday) // 3]),
            broken(SYSTEM, _TOPIC),
            _with_attachment(now),
            _for_nobody(now),
        ]
        return spread(everyday, specials)

    def outside(self, samples: Sequence[Sample], lang: Language) -> Outside:
        # A mail to two is two transactions: the recipients of one task are one object, each further copy another.
        objects = {
            task_id: [str(copy) for copy in range(1, _most_to_one(mails) + 1)]
            for task_id, mails in self.server.by_task().items()
        }
        return Outside(objects)


def _most_to_one(mails: Sequence[Any]) -> int:
    recipients = [recipient for mail in mails for recipient in mail.recipients]
    return max(map(recipients.count, recipients), default=0)


def _mail(number: int, now: datetime) -> Sample:
    title = f"Договор № {400 + number} согласован"
    to = "sokolova@example.com" if number % 2 else "sokolova@example.com, Борис Лебедев <lebedev@example.com>"
    variables = {"to": to, "subject": title, "body": "Здравствуйте!\n\nПроцесс перешёл к следующему шагу."}
    return sample("instant", title, _message(title, now, variables))


def _with_attachment(now: datetime) -> Sample:
    title = "Счёт во вложении"
    content = base64.b64encode("Счёт № 17 на 1 250 000".encode()).decode()
    attachment = {"name": "счёт.txt", "content": content, "content_type": "text/plain"}
    variables = {"to": "buh@example.com", "subject": title, "body": "См. вложение.", "attachments": [attachment]}
    return sample("instant", title, _message(title, now, variables))


def _for_nobody(now: datetime) -> Sample:
    title = "Письмо без адреса"
    return sample("refused", title, _message(title, now, {"to": "никто", "subject": title, "body": "…"}))


def _message(step: str, now: datetime, variables: Mapping[str, Any]) -> dict[str, Any]:
    return message(SYSTEM, _TOPIC, step, now, variables=variables)

"""Makes the mail of a task: who gets it, what stands in it. The same task makes the same mail, whenever it comes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from typing import Any, NamedTuple

from consumers.email.addresses import distinct, header_text, key_of, parse_addresses, require_allowed
from consumers.email.attachments import Attachment, Attachments, path_warnings
from consumers.email.config import EmailSettings
from consumers.email.headers import set_addresses, set_text
from consumers.email.plaintext import text_of
from consumers.email.session import Letter
from consumers.email.templates import RENDERED_LIMIT, Templates, unreadable
from core import values
from core.errors import PermanentError
from core.inputs import Inputs, activity_name
from core.messages import CamundaTask
from core.texts import Text

_SUBJECT_LIMIT = 998  # characters
_REPLY_TO_LIMIT = 10
_PREFIX = "email_"
PARTS = ("to", "cc", "bcc", "subject", "body", "body_html", "template", "reply_to", "attachments")
# Our own results, which a process may keep as variables of these names.
_RESULTS = {"email_message_id", "email_accepted", "email_refused", "email_refused_ru"}
_KNOWN = {*(f"{_PREFIX}{part}" for part in PARTS), *_RESULTS}
_LINE_END = re.compile(r"[\r\n](?![ \t\n])")  # unless it only folds the line


class Recipients(NamedTuple):
    """Who a mail is for; every recipient stands in only one of the three."""

    to: Sequence[Address]
    cc: Sequence[Address]
    bcc: Sequence[Address]

    @property
    def all(self) -> list[Address]:
        return [*self.to, *self.cc, *self.bcc]


class _Texts(NamedTuple):
    subject: str
    text: str
    html: str | None


class Composer:
    """Makes mails from tasks by the rules of the README. Usable from any thread."""

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._templates = Templates(settings.templates_dir)
        self._attachments = Attachments(settings.attachments_dir, settings.max_attachment_bytes)

    def recipients(self, task: CamundaTask) -> Recipients:
        """Return the recipients of a task. Raises PermanentError that names the field and the value."""
        inputs = Inputs(task)
        seen: set[str] = set()
        groups = []
        for name in ("to", "cc", "bcc"):
            found = _first(inputs, name)
            group = distinct(parse_addresses(*found)) if found else []
            groups.append([each for each in group if key_of(each) not in seen])
            seen.update(map(key_of, group))
            require_allowed(name, groups[-1], self._settings.allowed_domains)
        if not seen:
            reason = Text(
                "the mail has no recipient: give to, cc or bcc", "у письма нет получателя: задайте to, cc или bcc"
            )
            raise PermanentError(reason, code="no_recipient")
        if len(seen) > (most := self._settings.max_recipients):
            reason = Text(
                f"the mail has {len(seen)} recipients, EMAIL_MAX_RECIPIENTS allows {most}",
                f"получателей у письма {len(seen)}, EMAIL_MAX_RECIPIENTS допускает {most}",
            )
            raise PermanentError(reason, code="too_many_recipients")
        return Recipients(*groups)

    def letter(self, task: CamundaTask, recipients: Recipients, now: datetime) -> Letter:
        """Return the mail as it goes to every recipient; those of `bcc` do not stand in it. Raises PermanentError."""
        inputs = Inputs(task)
        found = _first(inputs, "reply_to")
        reply_to = distinct(parse_addresses(*found)) if found else []
        if len(reply_to) > _REPLY_TO_LIMIT:
            reason = Text(
                f"reply_to: more than {_REPLY_TO_LIMIT} addresses", f"reply_to: больше {_REPLY_TO_LIMIT} адресов"
            )
            raise PermanentError(reason, code="bad_value")
        texts = self._texts(task, inputs)
        attached = _first(inputs, "attachments")
        mail = new_mail(self._settings, texts.subject, now)
        _fill_recipients(mail, recipients)
        if reply_to:
            del mail["Reply-To"]
            set_addresses(mail, "Reply-To", reply_to)
        mail["Message-ID"] = self.message_id(task.task_id)
        mail["X-Camunda-Task-Id"] = header_text("task_id", task.task_id)
        _fill(mail, texts, self._attachments.read(attached[1]) if attached else [])
        return as_letter(mail, [*recipients.to, *recipients.cc, *reply_to])

    def warnings(self, task: CamundaTask) -> list[Text]:
        """Return what of the task's inputs is not used as it was given, for the result."""
        inputs = Inputs(task)
        names = {*inputs.variables, *inputs.extensions, *inputs.parameters}
        unknown = sorted(name for name in names if name.startswith(_PREFIX) and name not in _KNOWN)
        found = [
            Text(f"{name} is no part of a mail and is not used", f"{name}: не использовано, у письма такого нет")
            for name in unknown
        ]
        attached = _first(inputs, "attachments")
        return found + (path_warnings(attached[1]) if attached else [])

    def message_id(self, task_id: str) -> str:
        return f"<{uuid.uuid5(uuid.NAMESPACE_URL, f'email:{task_id}')}@{_domain(self._settings)}>"

    def _texts(self, task: CamundaTask, inputs: Inputs) -> _Texts:
        subject: Any = _value(inputs, "subject")
        text, html = _body(inputs, "body"), _body(inputs, "body_html")
        template = _value(inputs, "template")
        if template is not None:
            rendered = self._templates.render(template, _variables(task, inputs))
            subject = rendered.subject.strip() if rendered.subject is not None else subject
            text, html = rendered.text, rendered.html
        if text is None and html is None:
            reason = Text(
                "the mail has no text: give body, body_html or template",
                "у письма нет текста: задайте body, body_html или template",
            )
            raise PermanentError(reason, code="no_text")
        subject = header_text("subject", subject if subject is not None else activity_name(task))
        if not subject:
            reason = Text(
                "the mail has no subject: give subject, or name the step",
                "у письма нет темы: задайте subject или имя шага процесса",
            )
            raise PermanentError(reason, code="no_subject")
        if len(subject) > _SUBJECT_LIMIT:
            wanted = Text(
                f"a subject of at most {_SUBJECT_LIMIT} characters", f"тема не длиннее {_SUBJECT_LIMIT} символов"
            )
            raise values.BadValueError("subject", subject, wanted)
        return _Texts(subject, text if text is not None else text_of(html or ""), html)


def new_mail(settings: EmailSettings, subject: str, now: datetime) -> EmailMessage:
    """Return a mail of this worker without recipients and text."""
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit", refold_source="none"))
    set_addresses(mail, "From", [Address(settings.from_name, addr_spec=settings.sender)])
    if settings.reply_to:
        set_addresses(mail, "Reply-To", [Address(addr_spec=settings.reply_to)])
    set_text(mail, "Subject", subject)
    mail["Date"] = now
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence note comes back
    return mail


def as_letter(mail: EmailMessage, shown: Sequence[Address]) -> Letter:
    """Return the mail as bytes. `shown` are the addresses in the headers."""
    for part in mail.walk():
        if any(_LINE_END.search(str(value)) for _, value in part.raw_items()):
            reason = Text("a header of the mail would hold a line end", "в заголовке письма оказался бы перевод строки")
            raise PermanentError(reason, code="bad_value")
    needs_utf8 = not all(each.addr_spec.isascii() for each in shown)
    policy = SMTPUTF8 if needs_utf8 else SMTP
    return Letter(mail.as_bytes(policy=policy.clone(cte_type="7bit", refold_source="none")), needs_utf8)


def _fill_recipients(mail: EmailMessage, recipients: Recipients) -> None:
    if recipients.to:
        set_addresses(mail, "To", recipients.to)
    elif not recipients.cc:
        mail["To"] = "undisclosed-recipients:;"
    if recipients.cc:
        set_addresses(mail, "Cc", recipients.cc)


def _fill(mail: EmailMessage, texts: _Texts, attachments: Sequence[Attachment]) -> None:
    mail.set_content(texts.text, cte=_encoding(texts.text))
    if texts.html is not None:
        mail.add_alternative(texts.html, subtype="html", cte=_encoding(texts.html))
    for attachment in attachments:
        main, _, sub = attachment.content_type.partition("/")
        mail.add_attachment(
            attachment.content, maintype=main, subtype=sub, filename=attachment.name, params=_charset(main, attachment)
        )


def _encoding(text: str) -> str | None:
    """Return the encoding of a text; None is whatever fits. No NUL stands in a mail as it is (RFC 5322 4)."""
    return "base64" if "\0" in text else None


def _charset(main: str, attachment: Attachment) -> dict[str, str]:
    """Return the charset of an attachment. Text without one would be read as ASCII (RFC 2046 4.1.2)."""
    if main != "text":
        return {}
    try:
        attachment.content.decode()
    except UnicodeDecodeError:
        return {}
    return {"charset": "utf-8"}


def _first(inputs: Inputs, name: str) -> tuple[str, Any] | None:
    """Return an input by its name.

    Process variables have common names; `email_subject` is surely meant for the mail.
    """
    return inputs.first(f"{_PREFIX}{name}", name)


def _value(inputs: Inputs, name: str) -> Any:
    found = _first(inputs, name)
    return found[1] if found else None


def _body(inputs: Inputs, name: str) -> str | None:
    value = _value(inputs, name)
    if value is None:
        return None
    # A text goes as it is: spaces at its beginning may be what it is about.
    body = value if isinstance(value, str) else values.text(value)
    if not body.isascii() and body != body.encode("utf-8", "replace").decode():
        wanted = Text("text: it holds half of a surrogate pair", "текст, в котором нет половин суррогатных пар")
        raise values.BadValueError(name, body, wanted)
    if len(body) > RENDERED_LIMIT:
        reason = Text(
            f"{name} has {len(body)} characters, {RENDERED_LIMIT} are allowed",
            f"длина {name} (символов): {len(body)}, допускается {RENDERED_LIMIT}",
        )
        raise PermanentError(reason, code="text_too_long")
    return body


def _variables(task: CamundaTask, inputs: Inputs) -> Mapping[str, Any]:
    """Return what a template sees: every input by its name, and `camunda` with what the message says of the step."""
    camunda = {
        "task_id": task.task_id,
        "topic": task.topic,
        "activity_name": activity_name(task),
        "process_instance_id": task.process_instance_id,
    }
    seen: dict[str, Any] = {}
    for source in (inputs.parameters, inputs.extensions, inputs.variables):
        # What cannot be read is refused by name, but only of a template that asks for it.
        refused = {name: unreadable(error.text) for name, error in source.unreadable().items()}
        seen |= {name: refused[name] if name in refused else source[name] for name in source}
    return {**seen, "camunda": camunda}


def _domain(settings: EmailSettings) -> str:
    return (settings.sender or "").rpartition("@")[2]

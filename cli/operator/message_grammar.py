"""The words of the commands about single messages, and of those for who develops against the worker."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cli.durations import duration
from cli.operator.words import Words
from cli.parser import number


class MessageGrammar(Words):
    """`trace`, `track`, `send`, and `config show`, which is one of the commands for the settings."""

    def add_all(self, config: Any) -> None:
        """Add them; `config` are the commands for the settings."""
        self._trace()
        self._track()
        self._send()
        self._config_show(config)

    def _trace(self) -> None:
        about = self._say(
            "where a message is, what happened to it and what comes next, by any id that people have",
            "где сообщение, что с ним было и что дальше – по любому известному id",
        )
        examples = (
            "trace 48211\ntrace ORD-118\ntrace согласовать договор\ntrace ID --json | jq -r .stage\n"
            "trace ID --bundle case.zip"
        )
        parser = self._command("trace", "trace.run", about, examples=examples)
        words = self._say(
            "task id, process instance, business key, number in the system, message id, or words of the title",
            "id задачи, экземпляр процесса, бизнес-ключ, номер в системе, id сообщения или слова названия",
        )
        parser.add_argument("words", nargs="+", metavar="ID", help=words)
        bundle = self._say(
            "write all that is known of it into a zip file for a developer, without secrets",
            "записать всё известное в zip-файл для разработчика, без секретов",
        )
        parser.add_argument("--bundle", type=Path, metavar=self._say("FILE", "ФАЙЛ"), help=bundle)
        self._force(parser)

    def _track(self) -> None:
        about = self._say(
            "when the next look at a task comes, or with --now a look at once",
            "когда следующий взгляд на задачу, а с --now – сразу",
        )
        parser = self._command("track", "track.run", about, examples="track 48211\ntrack ID --now")
        one = self._say("as for trace, but of one task", "как для trace, но одной задачи")
        parser.add_argument("id", metavar="ID", help=one)
        now = self._say("have the worker ask now, and say what became of it", "спросить сразу и сказать, что стало")
        parser.add_argument("--now", action="store_true", help=now)
        self._timeout(
            parser, self._say("wait so long for --now (default 60 s)", "сколько ждать при --now (60 с)"), 60.0
        )

    def _timeout(self, parser: ArgumentParser, help: str, default: float | None) -> None:
        time = self._say("TIME", "ВРЕМЯ")
        parser.add_argument("--timeout", type=duration, default=default, metavar=time, help=help)

    def _force(self, parser: ArgumentParser) -> None:
        force = self._say("overwrite an existing file", "перезаписать существующий файл")
        parser.add_argument("--force", action="store_true", help=force)

    def _send(self) -> None:
        about = self._say(
            "put a task into an input queue, as Camunda's side does; --wait follows it to its end",
            "положить задачу во входную очередь, как сторона Camunda; --wait следит за ней до конца",
        )
        examples = (
            "send bitrix24.queue --title test --field assigneeId=lawyer --wait\n"
            "send email --title test --field to=duty@example.com --field body=test\n"
            "send 1c.queue --file message.json\nsend default.queue --file - < message.json"
        )
        parser = self._command("send", "send.run", about, examples=examples)
        queue = self._say("an input queue, or its system", "входная очередь или её система")
        parser.add_argument("queue", metavar=self._say("QUEUE", "ОЧЕРЕДЬ"), help=queue)
        parser.add_argument("--title", metavar=self._say("TEXT", "ТЕКСТ"), help=self._say("its title", "название"))
        topic = self._say("its topic (default: that of a new task)", "топик (по умолчанию новой задачи)")
        parser.add_argument("--topic", metavar="TOPIC", help=topic)
        value = self._say("a process variable; may be given several times", "переменная процесса; можно повторять")
        pair = self._say("NAME=VALUE", "ИМЯ=ЗНАЧЕНИЕ")
        parser.add_argument("--field", action="append", metavar=pair, help=value)
        file = self._say("send this file as it is; - is stdin", "отправить файл как есть; - означает stdin")
        parser.add_argument("--file", metavar=self._say("FILE", "ФАЙЛ"), help=file)
        count = self._say("so many messages, each with an id of its own", "столько сообщений, у каждого свой id")
        parser.add_argument("--count", type=number, default=1, metavar="N", help=count)
        wait = self._say("follow them to their end by the journal", "следить за ними до конца по журналу")
        parser.add_argument("--wait", action="store_true", help=wait)
        self._timeout(parser, self._say("but no longer than so", "но не дольше"), None)

    def _config_show(self, config: Any) -> None:
        about = self._say(
            "show every setting as it counts, and where it comes from; no secret is shown",
            "показать каждую настройку, как она действует, и откуда она; секреты скрыты",
        )
        examples = "config show\nconfig show --set\nconfig show --json | jq .settings"
        parser = self._command("show", "settings.show", about, examples=examples, among=config)
        given = self._say("only what is set, without defaults", "только заданное, без значений по умолчанию")
        parser.add_argument("--set", action="store_true", help=given)

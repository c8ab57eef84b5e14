"""The words of the operator's commands, without what they need to run: a help must come at once."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from cli.durations import duration
from core.holds import SCOPES
from core.texts import Language, Text

Say = Callable[[Text], str]


def add_commands(commands: Any, lang: Language, program: str) -> None:
    """Add the commands to argparse's `commands`. Each names what runs it: `options.runs`, a module of cli.operator."""
    _Grammar(commands, lang, program).add_all()


class _Grammar:
    def __init__(self, commands: Any, lang: Language, program: str) -> None:
        self._commands = commands
        self._lang = lang
        self._program = program

    def add_all(self) -> None:
        self._status()
        self._pausing()

    def _say(self, en: str, ru: str) -> str:
        return Text(en, ru).say(self._lang)

    def _command(self, name: str, runs: str, help: str, *, examples: str = "", among: Any = None) -> ArgumentParser:
        """Add a command; `runs` is `module.function` of cli.operator, `examples` are arguments of it, a line each."""
        parser: ArgumentParser = (among or self._commands).add_parser(name, help=help, description=help)
        if examples:
            lines = "\n".join(f"  {self._program} {line}" for line in examples.splitlines())
            parser.epilog = f"{self._say('examples', 'примеры')}:\n{lines}"
        parser.set_defaults(runs=runs)
        parser.add_argument("--json", action="store_true", help=self._say("print JSON", "вывести JSON"))
        parser.add_argument("--no-color", action="store_true", help=self._say("print no colours", "без цветов"))
        return parser

    def _status(self) -> None:
        about = self._say(
            "does it work, what waits and since when: worker, RabbitMQ, systems, queues",
            "работает ли всё, что ждёт и с каких пор: воркер, RabbitMQ, системы, очереди",
        )
        parser = self._command("status", "status.run", about, examples="status\nstatus --json | jq .verdict")
        every = self._say("show empty queues, too", "показать и пустые очереди")
        parser.add_argument("--all", action="store_true", help=every)

    def _pausing(self) -> None:
        system = self._say("a system, e.g. bitrix24", "система, например bitrix24")
        about = self._say(
            "have the worker leave a system alone; its messages wait, the others go on",
            "оставить систему в покое; её сообщения ждут, остальные идут",
        )
        examples = 'pause bitrix24 --for 1h -m "update of the portal"\npause 1c --scope create'
        parser = self._command("pause", "pausing.pause", about, examples=examples)
        parser.add_argument("system", metavar=self._say("SYSTEM", "СИСТЕМА"), help=system)
        until = self._say(
            "for so long, e.g. 30m, 2h, 1d; without it until resume",
            "на столько, например 30m, 2h, 1d; иначе до resume",
        )
        parser.add_argument("--for", dest="duration", type=duration, metavar=self._say("TIME", "ВРЕМЯ"), help=until)
        why = self._say("why, for whoever looks at it", "почему: для тех, кто увидит паузу")
        parser.add_argument("-m", "--reason", default="", metavar=self._say("TEXT", "ТЕКСТ"), help=why)
        scope = self._say(
            "what rests: new tasks, the questions about those that exist, or all (default)",
            "что отдыхает: новые задачи, вопросы о существующих или всё (по умолчанию)",
        )
        parser.add_argument("--scope", choices=SCOPES, default="all", help=scope)
        about = self._say("end the pause of a system", "закончить паузу системы")
        parser = self._command("resume", "pausing.resume", about, examples="resume bitrix24")
        parser.add_argument("system", metavar=self._say("SYSTEM", "СИСТЕМА"), help=system)

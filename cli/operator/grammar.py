"""The words of the operator's commands, without what they need to run: a help must come at once."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from cli.durations import duration, moment
from cli.operator.message_grammar import MessageGrammar
from cli.operator.words import Words
from cli.parser import number
from core.holds import SCOPES
from core.texts import Language

# The words of journal.states.State, which would load all events for a help; a test compares.
STATES = (
    *("waiting", "processing", "retry_wait", "tracking", "completing"),
    *("done", "failed", "rejected", "stuck", "dropped"),
)


def add_commands(commands: Any, config: Any, lang: Language, program: str) -> None:
    """Add the commands to argparse's `commands`, and one to those for the settings, `config`.

    Each names what runs it: `options.runs`, a module of cli.operator.
    """
    MessageGrammar(commands, lang, program).add_all(config)
    _Grammar(commands, lang, program).add_all()


def rate_of(text: str) -> float:
    """Read an option's messages a second. Raises ArgumentTypeError."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 100_000:
        raise ArgumentTypeError(f"{text!r} is no number")
    return rate


class _Grammar(Words):
    def add_all(self) -> None:
        self._status()
        self._pausing()
        self._errors()
        self._journal()
        self._lists()
        self._api()

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

    # -- the error queue ----------------------------------------------------------------------------------------------

    def _errors(self) -> None:
        about = self._say("the messages that wait for a person", "сообщения, которые ждут человека")
        errors = self._group("errors", about)
        parser = self._command(
            "list",
            "errors.list_groups",
            self._say("the groups of one cause each", "группы, каждая с одной причиной"),
            examples="errors list --system bitrix24 --since 1d\nerrors list --text уволен --messages",
            among=errors,
        )
        self._choice(parser)
        singly = self._say("the messages one by one", "сообщения по одному")
        parser.add_argument("--messages", action="store_true", help=singly)
        parser = self._command(
            "show",
            "errors.show",
            self._say("one message, or one group, with everything known of it", "сообщение или группа целиком"),
            among=errors,
        )
        parser.add_argument("id", metavar="ID", help=self._ids())
        about = self._say(
            "put messages back into their queues, and tell what becomes of them",
            "вернуть в очереди и сказать, что вышло",
        )
        parser = self._command(
            "retry",
            "error_moves.retry",
            about,
            examples="errors retry --group 4f1c9a0b2e --dry-run\nerrors retry ORD-118 --edit\n"
            "errors retry --system 1c --rate 5",
            among=errors,
        )
        self._choice(parser, acts=True)
        edit = self._say(
            "change the message in $EDITOR first; the original goes into the archive",
            "сначала изменить сообщение в $EDITOR; исходное уйдёт в архив",
        )
        parser.add_argument("--edit", action="store_true", help=edit)
        rate = self._say("messages a second at the most", "не больше стольких сообщений в секунду")
        parser.add_argument("--rate", type=rate_of, metavar="N", help=rate)
        wait = self._say(
            "how long to follow them (default 1m); 0: not at all",
            "сколько следить за ними (по умолчанию 1m); 0: не следить",
        )
        parser.add_argument("--wait", type=duration, default=60.0, metavar=self._say("TIME", "ВРЕМЯ"), help=wait)
        about = self._say("move messages into the archive", "убрать сообщения в архив")
        parser = self._command(
            "drop", "error_moves.drop", about, examples="errors drop --group 4f1c9a0b2e -m test", among=errors
        )
        self._choice(parser, acts=True)
        why = self._say("why, for whoever looks into the archive", "почему: для тех, кто заглянет в архив")
        parser.add_argument("-m", "--reason", default="", metavar=self._say("TEXT", "ТЕКСТ"), help=why)
        about = self._say("bring messages back from the archive", "вернуть сообщения из архива")
        parser = self._command("restore", "error_moves.restore", about, among=errors)
        self._choice(parser, acts=True)
        about = self._say("write messages into a file, for whoever mends it", "выгрузить в файл, для того, кто чинит")
        parser = self._command(
            "export", "errors.export", about, examples="errors export --format csv --output errors.csv", among=errors
        )
        self._choice(parser)
        parser.add_argument("--format", choices=("jsonl", "csv"), default="jsonl")
        parser.add_argument("--archive", action="store_true", help=self._say("of the archive", "из архива"))
        parser.add_argument("--output", metavar=self._say("FILE", "ФАЙЛ"))

    def _api(self) -> None:
        about = self._say(
            "serve the REST API in this process, at API_HOST:API_PORT, until it is stopped",
            "обслуживать REST API в этом процессе на API_HOST:API_PORT, пока не остановят",
        )
        self._command("api", "api.run", about)

    def _journal(self) -> None:
        about = self._say("the journal of what happened to each message", "журнал того, что было с каждым сообщением")
        journal = self._group("journal", about)
        about = self._say(
            "tell the journal what is in the sent, wait and error queues; nothing in them changes",
            "рассказать журналу, что лежит в очередях; в них ничего не меняется",
        )
        self._command("rebuild", "journal.rebuild", about, among=journal)
        about = self._say("where it is and how much it holds", "где он и сколько в нём всего")
        self._command("info", "journal.info", about, among=journal)
        about = self._say("delete what is finished and old", "удалить старое и законченное")
        parser = self._command(
            "prune", "journal.prune", about, examples="journal prune --older-than 90d", among=journal
        )
        older = self._say(
            "finished so long ago (default JOURNAL_KEEP_DAYS)", "закончено столько назад (иначе JOURNAL_KEEP_DAYS)"
        )
        parser.add_argument("--older-than", type=duration, metavar=self._say("TIME", "ВРЕМЯ"), help=older)

    def _lists(self) -> None:
        system, since = self._say("of this system", "этой системы"), self._say("since then", "с этого времени")
        a_system, a_time = self._say("SYSTEM", "СИСТЕМА"), self._say("TIME", "ВРЕМЯ")
        limit = self._say("so many at the most (50)", "не больше стольких (50)")
        about = self._say("messages and where they stand, the latest first", "сообщения и где они, последние сначала")
        examples = "messages --state retry_wait --state stuck\nmessages --system 1c --state tracking --older-than 30d"
        parser = self._command("messages", "listing.messages", about, examples=examples)
        parser.add_argument("--state", action="append", default=[], choices=STATES)
        parser.add_argument("--system", metavar=a_system, help=system)
        parser.add_argument("--topic", metavar="TOPIC", help=self._say("of this topic", "с этим topic"))
        parser.add_argument(
            "--code", metavar=self._say("CODE", "КОД"), help=self._say("with this code", "с этим кодом")
        )
        parser.add_argument("--since", type=moment, metavar=a_time, help=since)
        older = self._say("in their state for longer", "в своём состоянии дольше этого")
        parser.add_argument("--older-than", type=duration, metavar=a_time, help=older)
        parser.add_argument("--limit", type=number, default=50, metavar="N", help=limit)
        about = self._say(
            "what happened to systems, queues, the worker, and who did what; the latest first",
            "что было с системами, очередями и воркером и кто что делал; последнее сначала",
        )
        parser = self._command("events", "listing.events", about, examples="events --audit\nevents --since 1d")
        audit = self._say("only what people have done", "только действия людей")
        parser.add_argument("--audit", action="store_true", help=audit)
        code = self._say("of this kind, e.g. system.paused", "этого вида, например system.paused")
        parser.add_argument("--code", metavar=self._say("EVENT", "СОБЫТИЕ"), help=code)
        parser.add_argument("--system", metavar=a_system, help=system)
        parser.add_argument("--since", type=moment, metavar=a_time, help=since)
        parser.add_argument("--limit", type=number, default=50, metavar="N", help=limit)

    def _ids(self) -> str:
        return self._say(
            "id of the task, process instance, message, group, business key, or the number in the system",
            "id задачи, экземпляра процесса, сообщения, группы, business key или номер в системе",
        )

    def _choice(self, parser: ArgumentParser, *, acts: bool = False) -> None:
        parser.add_argument("ids", nargs="*", metavar="ID", help=self._ids())
        for name, metavar, about in (
            ("group", "ID", self._say("of this group", "из этой группы")),
            ("system", self._say("SYSTEM", "СИСТЕМА"), self._say("of this system", "этой системы")),
            ("code", self._say("CODE", "КОД"), self._say("with this code", "с этим кодом")),
            ("topic", "TOPIC", self._say("of this topic", "с этим topic")),
            (
                "text",
                self._say("TEXT", "ТЕКСТ"),
                self._say("with this in reason or title", "с этим в причине или названии"),
            ),
        ):
            parser.add_argument(f"--{name}", metavar=metavar, help=about)
        since = self._say("since then: 2h, 3d, 2026-11-23", "с этого времени: 2h, 3d, 2026-11-23")
        parser.add_argument("--since", type=moment, metavar=self._say("TIME", "ВРЕМЯ"), help=since)
        if acts:
            parser.add_argument("--all", action="store_true", help=self._say("all of them", "все"))
            dry = self._say("only say what would be done", "только сказать, что было бы сделано")
            parser.add_argument("--dry-run", action="store_true", help=dry)
            yes = self._say("ask nothing", "ни о чём не спрашивать")
            parser.add_argument("-y", "--yes", action="store_true", help=yes)

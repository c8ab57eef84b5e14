"""`main.py track`: when the next look at a task comes, or with `--now` a look at once and what it has shown."""

from __future__ import annotations

from argparse import Namespace

from cli.exit_codes import EXIT_CONFLICT, EXIT_FAILURE, EXIT_NOT_FOUND, EXIT_OK, EXIT_STILL_WAITING
from cli.operator.trace import find, print_head, print_now
from cli.output import Output
from cli.running import CommandError
from core.results import FoundTask
from core.texts import Text
from journal.records import MessageRecord
from journal.states import State
from operation.asking_now import Asked, ask_now, status_of
from operation.desk import Desk
from operation.plain import plain
from operation.tracing import message_trace

_EXITS = {
    State.DONE: EXIT_OK,
    State.FAILED: EXIT_FAILURE,
    State.REJECTED: EXIT_FAILURE,
    State.DROPPED: EXIT_FAILURE,
}
_UNKNOWN = Text(
    "the journal knows no such task; main.py trace asks the queues and the systems",
    "журнал такой задачи не знает; main.py trace спросит очереди и системы",
)


def run(desk: Desk, output: Output, options: Namespace) -> int:
    message = find(desk, output, options.id)
    asked: Asked | None = None
    if options.now and (message is None or message.state in (State.TRACKING, State.COMPLETING)):
        asked = ask_now(desk, options.id, message, options.timeout)
        message = asked.message
        _tell(output, asked)
    if message is None:
        raise CommandError(EXIT_NOT_FOUND, _UNKNOWN)
    exit_code = EXIT_STILL_WAITING if message.state is None else _EXITS.get(message.state, EXIT_STILL_WAITING)
    if asked is not None and not asked.has_been_asked and asked.held:
        exit_code = EXIT_CONFLICT
    return _show(desk, output, message, asked, exit_code)


def _show(desk: Desk, output: Output, message: MessageRecord, asked: Asked | None, exit_code: int) -> int:
    trace = message_trace(desk, message)
    is_open = message.state is State.TRACKING
    own = status_of(desk, message) if asked is not None and is_open else None
    if output.as_json:
        told = {name: value for name, value in plain(trace).items() if name not in ("steps", "ahead")}
        question = None if asked is None else {name: each for name, each in plain(asked).items() if name != "message"}
        output.data({**told, "asked": question, "in_the_system": plain(own), "exit_code": exit_code})
        return exit_code
    print_head(output, trace)
    print_now(output, trace)
    if isinstance(own, FoundTask):
        output.print(Text(f"{message.system} says: status {own.status}", f"{message.system}: статус {own.status}"))
    elif own is not None:
        output.note(own, "warn")
    if asked is None and is_open:
        output.note(Text("--now asks at once", "--now спросит сразу"), "dim")
    return exit_code


def _tell(output: Output, asked: Asked) -> None:
    if asked.held:
        held = ", ".join(asked.held)
        output.note(Text(f"paused by a person, not asked: {held}", f"на паузе, не спрошено: {held}"), "warn")
    elif not asked.has_been_asked:
        output.note(Text("the sweep has not ended yet", "проход ещё не окончен"), "warn")
    if asked.trouble is not None:
        output.note(
            Text(f"the sweep did not get through: {asked.trouble}", f"проход не удался: {asked.trouble}"), "bad"
        )

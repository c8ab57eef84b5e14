"""`main.py send`: puts a task into an input queue, and with `--wait` follows it to its end."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.handing_in import NotTakenError
from cli.exit_codes import (
    EXIT_CHECK_FAILED,
    EXIT_CONFLICT,
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_NO_WORKER,
    EXIT_NOT_FOUND,
    EXIT_OK,
    EXIT_PARTLY,
    EXIT_STILL_WAITING,
    EXIT_USAGE,
)
from cli.operator.trace import STAGES, print_head, print_now
from cli.output import Advance, Output
from cli.running import CommandError
from core.errors import InvalidMessageError
from core.messages import CamundaTask
from core.texts import Text
from journal.records import MessageRecord
from journal.settings import JournalSettings
from journal.states import FINISHED_STATES, State
from operation.desk import Desk
from operation.noting import acted, this_user
from operation.plain import plain
from operation.sending import USUAL_TOPICS, Wish, checked, follow, nobody_takes, queue_named, send, task_of
from operation.stages import STAGE_OF
from operation.tracing import message_trace
from operation.workers import answers_of, system_among

MOST = 10_000  # messages of one command
STDIN = "-"
SINGLY = 10  # of so many each step is told, of more a bar is shown


@dataclass(slots=True)
class _Sent:
    """What has been done so far, to be told also when a person ends it."""

    queue: str
    topic: str
    task_ids: list[str] = field(default_factory=list)
    known: dict[str, MessageRecord] = field(default_factory=dict)


def run(desk: Desk, output: Output, options: Namespace) -> int:
    queue = _queue(desk, options.queue)
    if not 1 <= options.count <= MOST:
        raise CommandError(EXIT_USAGE, Text(f"--count is 1 to {MOST}", f"--count: от 1 до {MOST}"))
    if options.wait and not desk.settings.for_system(JournalSettings).is_wanted:
        raise CommandError(
            EXIT_CONFLICT,
            Text(
                "nothing was sent: --wait follows a task by the journal, and JOURNAL_URL=off",
                "ничего не отправлено: --wait следит за задачей по журналу, а JOURNAL_URL=off",
            ),
        )
    tasks = _tasks(desk, options, queue)
    first = next(tasks)
    sent = _Sent(queue, first[0].topic)
    try:
        _put(desk, output, sent, _chain(first, tasks), options.count)
        exit_code = _wait(desk, output, sent, options) if options.wait else EXIT_OK
    except KeyboardInterrupt:
        exit_code = EXIT_INTERRUPTED
    _conclude(desk, output, sent, exit_code)
    return exit_code


# -- what is sent -----------------------------------------------------------------------------------------------------


def _queue(desk: Desk, name: str) -> str:
    if (queue := queue_named(desk, name)) is None:
        known = ", ".join(sorted(desk.settings.worker.queue_handlers))
        text = Text(f"there is no input queue {name}; known are {known}", f"входной очереди {name} нет; есть {known}")
        raise CommandError(EXIT_NOT_FOUND, text)
    return queue


def _tasks(desk: Desk, options: Namespace, queue: str) -> Iterator[tuple[CamundaTask, bytes]]:
    """Yield each task with its bytes. Raises CommandError for what the worker would refuse."""
    if options.file is None:
        wish = _wish(options, queue)
        for _ in range(options.count):
            yield _checked(desk, task_of(wish, time.time()))
        return
    beside = [name for name in ("title", "topic", "field") if getattr(options, name)]
    if beside:
        names = ", ".join(f"--{name}" for name in beside)
        raise CommandError(
            EXIT_USAGE,
            Text(
                f"--file and {names}: a file is sent as it is, so give one or the other",
                f"--file и {names}: файл отправляется как есть, укажите что-то одно",
            ),
        )
    body = _content(options.file)
    for _ in range(options.count):
        yield _checked(desk, body)


def _wish(options: Namespace, queue: str) -> Wish:
    system = queue.removesuffix(".queue")
    if not options.title:
        raise CommandError(EXIT_USAGE, Text("give --title or --file", "укажите --title или --file"))
    topic = options.topic or USUAL_TOPICS.get(system)
    if topic is None:
        raise CommandError(EXIT_USAGE, Text(f"{queue} needs --topic", f"для {queue} нужен --topic"))
    fields: dict[str, str] = {}
    for each in options.field or ():
        name, sign, value = each.partition("=")
        if not sign or not name or name in fields:
            text = Text("is no name=value, or its name comes twice", "не имя=значение, или имя повторяется")
            raise CommandError(EXIT_USAGE, text.led_by(f"--field {each}: "))
        fields[name] = value
    return Wish(queue, topic, options.title, fields)


def _content(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        raise CommandError(EXIT_USAGE, Text.of(f"{file}: {error.strerror}")) from None


def _checked(desk: Desk, body: bytes) -> tuple[CamundaTask, bytes]:
    try:
        return checked(desk, body), body
    except InvalidMessageError as error:
        told = error.text
        raise CommandError(
            EXIT_USAGE, Text(f"nothing was sent: {told.en}", f"ничего не отправлено: {told.ru}")
        ) from None


def _chain(
    first: tuple[CamundaTask, bytes], rest: Iterator[tuple[CamundaTask, bytes]]
) -> Iterator[tuple[CamundaTask, bytes]]:
    yield first
    yield from rest


# -- sending and following --------------------------------------------------------------------------------------------


def _put(desk: Desk, output: Output, sent: _Sent, tasks: Iterator[tuple[CamundaTask, bytes]], count: int) -> None:
    began = time.time()
    try:
        with _progress(output, Text("sent", "отправлено"), count) as advance:
            for task_id in send(desk, sent.queue, tasks):
                sent.task_ids.append(task_id)
                advance(len(sent.task_ids))
    except NotTakenError as error:
        hint = Text(
            "; a worker that uses the system makes it at its start", "; её создаёт воркер, который пользуется системой"
        )
        text = Text(error.text.en + hint.en, error.text.ru + hint.ru) if error.is_missing else error.text
        raise CommandError(EXIT_NOT_FOUND if error.is_missing else EXIT_CHECK_FAILED, text) from None
    finally:
        if sent.task_ids:
            _tell_sent(desk, output, sent, began)


def _tell_sent(desk: Desk, output: Output, sent: _Sent, began: float) -> None:
    if not output.as_json:
        for task_id in sent.task_ids:
            output.print(task_id)
    what, system = f"send {sent.queue}", sent.queue.removesuffix(".queue")
    warning = acted(desk, began, what, by=this_user(), system=system, count=len(sent.task_ids))
    if warning is not None:
        output.note(warning, "warn")


def _wait(desk: Desk, output: Output, sent: _Sent, options: Namespace) -> int:
    if nobody_takes(desk, sent.queue):
        reason, is_hopeless = _why_nobody(desk, sent.queue)
        output.note(reason, "warn")
        if is_hopeless:
            return EXIT_NO_WORKER
    wanted = list(dict.fromkeys(sent.task_ids))
    with _progress(output, Text("at their end", "дошли до конца"), len(wanted)) as advance:

        def tell(record: MessageRecord) -> None:
            sent.known[record.name] = record
            if len(wanted) <= SINGLY:
                output.note(_step(record), "dim")
            advance(sum(each.state in FINISHED_STATES for each in sent.known.values()))

        follow(desk, wanted, tell, lambda text: output.note(text, "warn"), options.timeout)
    ends = Counter(sent.known[each].state if each in sent.known else None for each in wanted)
    if ends[State.DONE] == len(wanted):
        return EXIT_OK
    if any(state not in FINISHED_STATES for state in ends):
        return EXIT_STILL_WAITING
    return EXIT_PARTLY if ends[State.DONE] else EXIT_FAILURE


def _progress(output: Output, what: Text, total: int) -> AbstractContextManager[Advance]:
    return output.progress(what, total) if total > SINGLY else nullcontext(lambda _done: None)


def _step(record: MessageRecord) -> Text:
    stage = STAGES[STAGE_OF[record.state]] if record.state is not None else Text.of("?")
    number = f" № {record.external}" if record.external else ""
    return Text(f"{record.name}: {stage.en}{number}", f"{record.name}: {stage.ru}{number}")


def _why_nobody(desk: Desk, queue: str) -> tuple[Text, bool]:
    """Return why nobody takes messages of the queue, and whether that cannot change by itself."""
    system = queue.removesuffix(".queue")
    answers, _ = answers_of(desk.workers)
    told = system_among(answers, system)
    if told is None:
        return Text(
            f"no worker runs: the messages wait in {queue}", f"воркер не запущен: сообщения ждут в {queue}"
        ), True
    if told["unused"] is not None:
        en, ru = told["unused"]["en"], told["unused"]["ru"]
        return Text(f"{system} is not in use: {en}", f"{system} не используется: {ru}"), True
    if told["hold"] is not None:
        by = told["hold"]["by"]
        return Text(f"{system} is paused by {by}", f"{system} на паузе, поставил {by}"), False
    if told["down"] is not None:
        en, ru = told["down"]["reason"]["en"], told["down"]["reason"]["ru"]
        return Text(f"{system} is down: {en}", f"{system} недоступна: {ru}"), False
    return Text(f"nobody takes messages of {queue} yet", f"сообщения из {queue} пока никто не берёт"), False


def _conclude(desk: Desk, output: Output, sent: _Sent, exit_code: int) -> None:
    if output.as_json:
        output.data({**_as_data(sent), "exit_code": exit_code})
        return
    if exit_code == EXIT_INTERRUPTED:
        hint = Text("ended; main.py trace ID goes on", "прервано; дальше – main.py trace ID")
        output.note(hint, "warn")
    if len(sent.known) == 1:
        trace = message_trace(desk, next(iter(sent.known.values())))
        print_head(output, trace)
        print_now(output, trace)
    elif sent.known:
        counts = Counter(each.state for each in sent.known.values() if each.state is not None)
        told = [
            Text(f"{STAGES[STAGE_OF[state]].en} {count}", f"{STAGES[STAGE_OF[state]].ru} {count}")
            for state, count in counts.items()
        ]
        output.print(Text.join(" · ", told))


def _as_data(sent: _Sent) -> dict[str, Any]:
    messages: Sequence[Any] = plain(list(sent.known.values()))
    return {"queue": sent.queue, "topic": sent.topic, "task_ids": sent.task_ids, "messages": messages}

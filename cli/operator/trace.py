"""`main.py trace`: the way of one message, where it stands and what happens next; or the messages that may be meant."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence

from cli.exit_codes import EXIT_CONFLICT, EXIT_NOT_FOUND, EXIT_OK
from cli.files import write_new
from cli.output import Cell, Output
from cli.running import CommandError
from core.texts import Text
from journal.records import MessageRecord
from journal.store import StoreError
from operation.bundle import bundle_of
from operation.desk import Desk
from operation.elsewhere import Place, queues_of
from operation.plain import plain
from operation.prospects import Prospect
from operation.stages import STAGE_OF, Stage, Step
from operation.systems_asked import systems_of
from operation.tracing import FEW, MOST, SHOWN, Hits, MessageTrace, look_up, message_trace

STAGES: Mapping[Stage, Text] = {
    Stage.RECEIVED: Text("received", "получена"),
    Stage.PROCESSING: Text("processing", "в обработке"),
    Stage.RETRY_WAIT: Text("waits", "ждёт"),
    Stage.CREATED: Text("created", "создана"),
    Stage.TRACKING: Text("tracked", "у людей"),
    Stage.COMPLETING: Text("completing", "завершается"),
    Stage.DONE: Text("done", "готово"),
    Stage.FAILED: Text("failed", "ошибка"),
    Stage.REJECTED: Text("rejected", "отклонена"),
    Stage.DROPPED: Text("dropped", "убрана"),
}
_TONES: Mapping[Stage, str] = {Stage.DONE: "good", Stage.FAILED: "bad", Stage.REJECTED: "bad", Stage.RETRY_WAIT: "warn"}
_NOT_YET = Text("not yet", "ещё нет")
_SEVERAL = Text("several messages are meant: name one", "подходит несколько сообщений: назовите одно")


def run(desk: Desk, output: Output, options: Namespace) -> int:
    words = " ".join(options.words)
    hits = _hits(desk, output, words)
    if hits.one is not None:
        return _show(desk, output, options, message_trace(desk, hits.one), len(hits.others))
    if options.bundle is not None and hits.others:
        raise CommandError(EXIT_CONFLICT, _SEVERAL)
    if hits.others:
        _list(output, words, hits.others)
        return EXIT_OK
    return _elsewhere(desk, output, words)


def find(desk: Desk, output: Output, words: str) -> MessageRecord | None:
    """Return the one message that is meant, None if the journal knows none. Raises CommandError for several."""
    hits = _hits(desk, output, words)
    if hits.one is None and hits.others:
        _list(output, words, hits.others)
        raise CommandError(EXIT_CONFLICT, _SEVERAL)
    return hits.one


def _hits(desk: Desk, output: Output, words: str) -> Hits:
    try:
        return look_up(desk, words, MOST if output.as_json else FEW)
    except StoreError as error:
        output.note(error.text, "warn")
        return Hits(None, ())


# -- one message ------------------------------------------------------------------------------------------------------


def _show(desk: Desk, output: Output, options: Namespace, trace: MessageTrace, others: int) -> int:
    if options.bundle is not None:
        with output.captured() as said:
            print_trace(output, trace)
        content = bundle_of(desk, trace, "".join(said), output.mask)
        write_new(options.bundle, content, is_forced=options.force)
    if output.as_json:
        output.data({"kind": "trace", "query": " ".join(options.words), **plain(trace)})
        return EXIT_OK
    print_trace(output, trace)
    if others:
        output.note(Text(f"others hold these words, too: {others}", f"эти слова есть и в других: {others}"), "dim")
    if options.bundle is not None:
        output.note(Text(f"written: {options.bundle}", f"записано: {options.bundle}"), "good")
    return EXIT_OK


def print_trace(output: Output, trace: MessageTrace) -> None:
    """Print the way of a message for people."""
    print_head(output, trace)
    output.grid([*(_line(output, step) for step in trace.steps), *_now(output, trace), *_ahead(output, trace)])
    for remark in trace.remarks:
        output.note(remark, "warn")


def print_head(output: Output, trace: MessageTrace) -> None:
    """Print what the message is called."""
    message = trace.message
    output.print(f"{message.name} «{message.title}»" if message.title else message.name)
    about = [Text.of(each) for each in (message.system, message.topic, message.business) if each]
    about += [Text.of(f"№ {message.external}")] if message.external else []
    about += [Text(f"process {message.process}", f"процесс {message.process}")] if message.process else []
    output.print(Text.join(" · ", about).led_by("  "), "dim")
    if trace.address is not None:
        output.print(f"  {trace.address}", "dim")


def print_now(output: Output, trace: MessageTrace) -> None:
    """Print where the message stands and what comes next."""
    output.grid(_now(output, trace))
    for remark in trace.remarks:
        output.note(remark, "warn")


def _now(output: Output, trace: MessageTrace) -> Iterator[Sequence[str | Text | Cell]]:
    age = output.age(trace.since)
    since = Text(f"{trace.now.en}, since {age}", f"{trace.now.ru}, уже {age}")
    now = Cell(output.say(Text("NOW", "СЕЙЧАС")), _TONES.get(trace.stage, "warn"))
    yield ["●", now, STAGES[trace.stage], since]
    for each in trace.next:
        sign = Cell("!", "bad") if each.is_obstacle else Cell("→", "dim")
        yield [sign, "", "", _prospect(output, each)]


def _ahead(output: Output, trace: MessageTrace) -> Iterator[Sequence[str | Text | Cell]]:
    for stage in trace.ahead:
        yield [Cell("○", "dim"), "", Cell(output.say(STAGES[stage]), "dim"), Cell(output.say(_NOT_YET), "dim")]


def _line(output: Output, step: Step) -> Sequence[str | Text | Cell]:
    sign = Cell("✖", "bad") if step.is_setback else Cell("✔", "good")
    return [sign, output.moment(step.at), STAGES[step.stage], step.said]


def _prospect(output: Output, each: Prospect) -> Text:
    if each.at is None:
        return each.said
    moment = output.moment(each.at)
    if each.at <= output.now:
        return Text(f"{each.said.en} {moment}", f"{each.said.ru} {moment}")
    ahead = output.ahead(each.at)
    return Text(f"{each.said.en} in {ahead} ({moment})", f"{each.said.ru} через {ahead} ({moment})")


# -- several, or none -------------------------------------------------------------------------------------------------


def _list(output: Output, words: str, found: Sequence[MessageRecord]) -> None:
    if output.as_json:
        output.data({"kind": "messages", "query": words, "messages": plain(found)})
        return
    output.grid(
        [
            output.moment(each.first),
            each.name,
            STAGES[Stage.RECEIVED if each.state is None else STAGE_OF[each.state]],
            " ".join(filter(None, (each.external and f"№ {each.external}", each.title))) or "–",
        ]
        for each in found[:SHOWN]
    )
    rest, many = len(found) - SHOWN, Text("at least ", "не меньше ") if len(found) == FEW else Text.of("")
    if rest > 0:
        output.print(Text(f"… and {many.en}{rest} older ones", f"… и ещё {many.ru}{rest} более ранних"), "dim")
    hint = Text("main.py trace ID shows one; --json all", "одно покажет main.py trace ID, все – --json")
    output.note(hint, "dim")


def _elsewhere(desk: Desk, output: Output, words: str) -> int:
    places = [*queues_of(desk, words, output.note), *systems_of(desk, words, output.note)]
    is_found = any(each.found for each in places)
    exit_code = EXIT_OK if is_found else EXIT_NOT_FOUND
    if output.as_json:
        output.data({"kind": "places", "query": words, "is_found": is_found, "places": plain(places)})
        return exit_code
    if desk.journal is None:
        output.print(Text("There is no journal; asked were:", "Журнала сообщений нет; спрошены:"))
    else:
        output.print(Text("The journal knows nothing of it; asked were:", "Журнал об этом не знает; спрошены:"))
    output.grid(_places(output, places))
    if empty := ", ".join(each.name for each in places if each.messages == 0):
        output.print(Text(f"empty: {empty}", f"пусты: {empty}"), "dim")
    if any(each.found and each.kind != "system" for each in places):
        rebuild = Text(
            "main.py journal rebuild tells the journal what is in the queues",
            "main.py journal rebuild расскажет журналу, что лежит в очередях",
        )
        output.note(rebuild, "dim")
    if not is_found:
        nobody = Text("nobody knows it, as far as can be asked", "никто этого не знает, насколько можно спросить")
        output.print(nobody, "bad")
    return exit_code


def _places(output: Output, places: Sequence[Place]) -> Iterator[Sequence[str | Text | Cell]]:
    for each in places:
        if each.messages == 0:
            continue
        count = "" if each.messages is None else f"{each.messages}"
        tone = "" if each.was_asked else "warn"
        yield ["·", each.name, count, Cell(output.say(each.said), tone)]
        for found in each.found:
            about = " · ".join(
                filter(None, (found.task_id, found.external_id and f"№ {found.external_id}", found.address))
            )
            yield [Cell("✔", "good"), "", "", Text(f"{about}: {found.said.en}", f"{about}: {found.said.ru}")]

"""What is printed of failed messages, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cli.output import Cell, Output
from core.texts import Text
from operation.editing import pretty
from operation.error_groups import Group
from operation.reports import Kind, Report

Mask = Callable[[str], str]

GROUPS = (
    Text("group", "группа"),
    Text("count#", "кол#"),
    Text("system", "система"),
    Text("first", "первая"),
    Text("last", "последняя"),
    Text("code", "код"),
    Text("reason", "причина"),
)
MESSAGES = (
    Text("id", "id"),
    Text("group", "группа"),
    Text("when", "когда"),
    Text("system", "система"),
    Text("title", "название"),
    Text("reason", "причина"),
)
NOTHING_CHOSEN = Text(
    "nothing is chosen: give ids, --group, --system, --code, --topic, --text, --since or --all",
    "ничего не выбрано: укажите id, --group, --system, --code, --topic, --text, --since или --all",
)
NOTHING_FOUND = Text("no such message in the error queue", "такого сообщения в очереди ошибок нет")
_KINDS: Mapping[Kind, Text] = {
    "task": Text("a task that will not be done", "задача не будет выполнена"),
    "tracking": Text("a created task that will not be finished", "созданная задача не будет завершена"),
    "unreadable": Text("bytes that are no task", "байты, которые не читаются как задача"),
    "camunda_task": Text("Camunda's side: a task that could not be published", "сторона Camunda: задача не отправлена"),
    "camunda_response": Text(
        "Camunda's side: a response that could not be applied", "сторона Camunda: ответ не применён"
    ),
    "foreign": Text("a message of unknown shape", "сообщение неизвестного вида"),
}
_REST = 110  # characters of a reason in a table


def row_of_group(output: Output, group: Group, mask: Mask) -> list[str | Text | Cell]:
    return [
        Cell(group.group, "warn"),
        str(group.count),
        group.system or "–",
        output.moment(group.first),
        output.moment(group.last),
        group.code or "–",
        _short(mask(output.say(group.reason))),
    ]


def row_of_message(output: Output, report: Report, mask: Mask) -> list[str | Text | Cell]:
    return [
        report.name,
        Cell(report.group, "warn"),
        output.moment(report.at),
        report.system or "–",
        _short(mask(report.title or "–")),
        _short(mask(output.say(report.reason))),
    ]


def lines_of(output: Output, report: Report, mask: Mask, *, is_archived: bool) -> Iterator[Text]:
    """Yield everything that is known of one message."""
    yield _KINDS[report.kind].map(lambda kind: f"{report.name}: {kind}")
    yield report.reason.map(mask)
    facts = (
        (Text("code, outcome", "код, исход"), f"{report.code}, {report.outcome or '–'}"),
        (Text("group", "группа"), report.group),
        (Text("system, topic", "система, topic"), f"{report.system or '–'}, {report.topic or '–'}"),
        (Text("title", "название"), report.title),
        (Text("business key", "бизнес-ключ"), report.business_key),
        (Text("process instance", "экземпляр процесса"), report.process_instance_id),
        (Text("number in the system", "номер в системе"), report.external_id),
        (Text("attempts", "попыток"), report.attempts),
        (
            Text("first tried", "первая попытка"),
            None if report.first_seen is None else output.moment(report.first_seen),
        ),
        (
            Text("failed", "упало"),
            None if report.at is None else f"{output.moment(report.at)} ({output.age(report.at)})",
        ),
        (Text("came from", "пришло из"), report.source_queue),
    )
    for name, value in facts:
        if value is not None:
            yield Text(f"  {name.en}: {mask(str(value))}", f"  {name.ru}: {mask(str(value))}")
    if report.original is not None:
        yield Text("  message:", "  сообщение:")
        for line in pretty(report.original).splitlines():
            yield Text.of(f"    {mask(line)}")
    if is_archived:
        yield Text(
            f"in the archive; back: errors restore {report.name}", f"в архиве; вернуть: errors restore {report.name}"
        )
    elif report.not_retried is not None:
        yield Text(f"cannot be put back: {report.not_retried.en}", f"вернуть нельзя: {report.not_retried.ru}")
    else:
        yield Text(
            f"when the cause is mended: errors retry {report.name}",
            f"когда причина устранена: errors retry {report.name}",
        )


def outcome_lines(told: Mapping[str, int]) -> Iterator[tuple[Text, str]]:
    """Yield what has become of messages that were put back, a line for each kind of end that occurs."""
    names = (
        ("done_anew", Text("done", "выполнено"), "good"),
        ("already_there", Text("were there already", "уже были"), "good"),
        ("failed_again", Text("failed again", "снова ошибка"), "bad"),
        ("waiting", Text("still on their way", "ещё в пути"), "warn"),
        ("to_camunda", Text("given back to Camunda's side", "отданы стороне Camunda"), "good"),
        ("left", Text("not put back", "не возвращены"), "warn"),
        ("gone", Text("were gone meanwhile", "за это время исчезли"), "warn"),
    )
    yield (
        Text(
            f"put back: {told['put_back']} of {told['chosen']}", f"возвращено: {told['put_back']} из {told['chosen']}"
        ),
        "",
    )
    for key, name, tone in names:
        if told[key]:
            yield Text(f"  {name.en}: {told[key]}", f"  {name.ru}: {told[key]}"), tone


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _REST else line[: _REST - 1] + "…"

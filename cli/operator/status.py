"""`main.py status`: one verdict, each system, each queue, what waits for a person."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from cli.exit_codes import EXIT_CHECK_FAILED, EXIT_DEGRADED, EXIT_NO_WORKER, EXIT_OK
from cli.output import Cell, Output
from core.texts import Text
from operation.desk import Desk
from operation.standing import StatusReport, SystemStatus, Verdict, standing_of

_VERDICTS: Mapping[Verdict, tuple[Text, str, int]] = {
    "ok": (Text("everything works", "всё работает"), "good", EXIT_OK),
    "paused": (
        Text("works; something is paused by a person", "работает; что-то приостановлено человеком"),
        "warn",
        EXIT_OK,
    ),
    "degraded": (Text("works, but needs a look", "работает, но нужно внимание"), "warn", EXIT_DEGRADED),
    "down": (Text("DOES NOT WORK", "НЕ РАБОТАЕТ"), "bad", EXIT_CHECK_FAILED),
    "no_worker": (Text("NO WORKER RUNS", "ВОРКЕР НЕ ЗАПУЩЕН"), "bad", EXIT_NO_WORKER),
}
_STATES: Mapping[str, tuple[Text, str]] = {
    "ok": (Text("● ok", "● работает"), "good"),
    "paused": (Text("‖ paused", "‖ пауза"), "warn"),
    "down": (Text("✖ down", "✖ недоступна"), "bad"),
    "unconfigured": (Text("– off", "– выключена"), "dim"),
    "unknown": (Text("? unknown", "? неизвестно"), "warn"),
}
_SYSTEMS = (  # 80 columns are enough for it
    Text("system", "система"),
    Text("state", "состояние"),
    Text("waiting#", "ждут#"),
    Text("age", "возраст"),
    Text("retry#", "повтор#"),
    Text("open#", "открыто#"),
    Text("age", "возраст"),
    Text("errors#", "ошибки#"),
    Text("check", "сверка"),
)
_QUEUES = (
    Text("queue", "очередь"),
    Text("messages#", "сообщений#"),
    Text("readers#", "читателей#"),
    Text("age", "возраст"),
)
_AGES = (
    Text("open tasks", "задачи в работе"),
    *(Text.of(name) for name in ("< 1 h#", "< 1 d#", "< 7 d#", "< 30 d#", "≥ 30 d#")),
)
_AGES_RU = ("< 1 ч#", "< 1 д#", "< 7 д#", "< 30 д#", "≥ 30 д#")


def run(desk: Desk, output: Output, options: Namespace) -> int:
    report = standing_of(desk)
    text, tone, exit_code = _VERDICTS[report.verdict]
    if output.as_json:
        output.data({**asdict(report), "exit_code": exit_code})
        return exit_code
    for worker in report.workers:
        output.print(_of_worker(output, worker))
    output.print(text, tone)
    for sentence in _sentences(output, report):
        output.print(sentence, "warn")
    used = [each for each in report.systems if options.all or _is_used(each)]
    output.table(_SYSTEMS, (_row(output, each) for each in used))
    if unused := ", ".join(each.system for each in report.systems if each not in used):
        output.print(Text(f"not in use: {unused}", f"не используются: {unused}"), "dim")
    if any(sum(each.open_by_age) for each in report.systems):
        names = _AGES if output.lang == "en" else (_AGES[0], *map(Text.of, _AGES_RU))
        rows = ([each.system, *map(str, each.open_by_age)] for each in report.systems if sum(each.open_by_age))
        output.table(names, rows)
    output.table(
        _QUEUES,
        (
            [each.queue, _number(each.messages), _number(each.consumers), output.short_age(each.oldest)]
            for each in report.queues
            if each.messages or each.kind in ("responses", "errors") or options.all
        ),
    )
    if report.errors_waiting:
        hint = Text("main.py errors list shows the groups", "группы покажет main.py errors list")
        output.print(hint, "dim")
    return exit_code


def _of_worker(output: Output, worker: Mapping[str, object]) -> Text:
    age = output.age(float(str(worker["started"])))
    ready = Text("", "") if worker["is_ready"] else Text(", does not work yet", ", ещё не работает")
    told = f"Task Creator {worker['version']} · {worker['host']} · PID {worker['pid']} · "
    return Text(f"{told}running for {age}{ready.en}", f"{told}работает {age}{ready.ru}")


def _sentences(output: Output, report: StatusReport) -> Sequence[Text]:
    """Return what a person should know first, one sentence each."""
    said = [Text(remark["en"], remark["ru"]) for remark in report.remarks]
    if report.broker["reason"] is not None:
        reason = report.broker["reason"]
        said.append(Text(f"RabbitMQ: {reason['en']}", f"RabbitMQ: {reason['ru']}"))
    for each in report.systems:
        if each.down is not None:
            age, ahead, reason = (
                output.age(each.down["since"]),
                output.ahead(each.down["next_probe"]),
                each.down["reason"],
            )
            said.append(
                Text(
                    f"{each.system} is down for {age}: {reason['en']}; tried again in {ahead}",
                    f"{each.system} недоступна {age}: {reason['ru']}; следующая попытка через {ahead}",
                )
            )
        if each.hold is not None:
            said.append(_paused(output, each.system, each.hold))
        if each.trouble is not None:
            said.append(
                Text(f"tracking of {each.system}: {each.trouble}", f"отслеживание {each.system}: {each.trouble}")
            )
        if each.waiting and not each.consumers and each.state not in ("paused", "down"):
            why = Text("", "") if each.unused is None else Text(f": {each.unused['en']}", f": {each.unused['ru']}")
            said.append(
                Text(
                    f"{each.system}: messages wait and nobody takes them ({each.waiting}){why.en}",
                    f"{each.system}: сообщения ждут, и никто их не берёт ({each.waiting}){why.ru}",
                )
            )
    return said


def _paused(output: Output, system: str, hold: Mapping[str, Any]) -> Text:
    until, age = output.moment(hold["until"]), output.age(hold["since"])
    end = Text("", "") if hold["until"] is None else Text(f" until {until}", f" до {until}")
    reason = f": {hold['reason']}" if hold["reason"] else ""
    return Text(
        f"{system} is paused by {hold['by']} for {age}{end.en}{reason}",
        f"{system} на паузе {age}{end.ru}, поставил {hold['by']}{reason}",
    )


def _row(output: Output, each: SystemStatus) -> list[str | Text | Cell]:
    text, tone = _STATES[each.state]
    checked = None if each.last_check is None else datetime.fromisoformat(each.last_check).timestamp()
    return [
        each.system,
        Cell(output.say(text), tone),
        _number(each.waiting),
        output.short_age(each.oldest_waiting),
        str(each.in_retry),
        str(each.open),
        output.short_age(each.oldest_open),
        Cell(str(each.errors), "bad" if each.errors else ""),
        Cell(output.short_age(checked), "" if each.trouble is None else "bad"),
    ]


def _is_used(each: SystemStatus) -> bool:
    return each.state != "unconfigured" or bool(each.waiting or each.open or each.in_retry or each.errors)


def _number(value: int | None) -> str:
    return "–" if value is None else str(value)

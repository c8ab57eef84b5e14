"""`main.py errors retry`, `drop` and `restore`: messages put back, archived, brought back, and what becomes of them."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable

from cli.exit_codes import EXIT_CONFLICT, EXIT_OK, EXIT_PARTLY, EXIT_USAGE
from cli.operator.editing import edited
from cli.operator.error_choice import Chosen, both, chosen_by, masked, wanted_by
from cli.operator.error_texts import GROUPS, outcome_lines, row_of_group
from cli.output import Output
from cli.running import CommandError
from core.texts import Text
from operation.desk import Desk
from operation.error_queue import ErrorQueue, Outcome
from operation.following import Fates, follow
from operation.noting import this_user
from operation.pacing import Watch
from operation.reports import Report

ASK_ABOVE = 20  # messages that are put back without a question


def retry(desk: Desk, output: Output, options: Namespace) -> int:
    errors = ErrorQueue(desk, this_user())
    choice = wanted_by(options, time.time())
    chosen = chosen_by(errors, output, choice)
    if options.dry_run:
        return _dry_run(desk, output, chosen, chosen.usable)
    edit = None
    if options.edit:
        edit = _edit(desk, output, chosen, yes=options.yes)
    elif chosen.usable > ASK_ABOVE:
        what = Text(f"put {chosen.usable} messages back?", f"вернуть в очереди сообщений: {chosen.usable}?")
        _ask(output, what, yes=options.yes)
    with output.progress(Text("putting back", "возвращаю"), errors.depth()) as advance:
        outcome = errors.retry(choice, rate=options.rate, edit=edit, watch=Watch(advance))
    fates = _followed(desk, output, outcome, options.wait)
    return _tell_retry(desk, output, chosen, outcome, fates)


def drop(desk: Desk, output: Output, options: Namespace) -> int:
    errors = ErrorQueue(desk, this_user())
    choice = wanted_by(options, time.time())
    chosen = chosen_by(errors, output, choice)
    if options.dry_run:
        return _dry_run(desk, output, chosen, chosen.count)
    count = chosen.count
    what = Text(f"move {count} messages into the archive?", f"убрать в архив сообщений: {count}?")
    _ask(output, what, yes=options.yes)
    with output.progress(Text("archiving", "убираю"), errors.depth()) as advance:
        outcome = errors.drop(choice, options.reason, watch=Watch(advance))
    return _tell_move(desk, output, outcome, Text("moved into the archive", "убрано в архив"))


def restore(desk: Desk, output: Output, options: Namespace) -> int:
    errors = ErrorQueue(desk, this_user())
    choice = wanted_by(options, None)
    chosen = chosen_by(errors, output, choice, archive=True)
    if options.dry_run:
        return _dry_run(desk, output, chosen, chosen.count)
    with output.progress(Text("bringing back", "возвращаю"), errors.depth(archive=True)) as advance:
        outcome = errors.restore(choice, watch=Watch(advance))
    return _tell_move(desk, output, outcome, Text("brought back from the archive", "возвращено из архива"))


def _edit(desk: Desk, output: Output, chosen: Chosen, *, yes: bool) -> Callable[[Report], bytes]:
    if chosen.only is None or chosen.only.original is None:
        text = Text(
            f"--edit changes one message that can be put back, and {chosen.count} are chosen",
            f"--edit меняет одно сообщение, которое можно вернуть, а выбрано: {chosen.count}",
        )
        raise CommandError(EXIT_USAGE, text)
    body = edited(desk, output, chosen.only, chosen.only.original, yes=yes)
    return lambda _report: body


def _ask(output: Output, what: Text, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        told = Text(f"{what.en} There is no terminal to ask: add --yes", f"{what.ru} Спросить негде: добавьте --yes")
        raise CommandError(EXIT_USAGE, told)
    if not output.confirm(what):
        raise CommandError(EXIT_CONFLICT, Text("nothing was done", "ничего не сделано"))


def _followed(desk: Desk, output: Output, outcome: Outcome, patience: float) -> Fates:
    since = {each.name: each.at for each in outcome.moved if each.kind != "camunda_response"}
    nobody = Fates(dict.fromkeys(since, "unknown"))
    if not since or not patience:
        return nobody
    if desk.journal is None:
        told = Text(
            "there is no journal: what becomes of them is not known", "журнала нет: что с ними станет, неизвестно"
        )
        outcome.remarks.append(told)
        return nobody
    with output.progress(Text("following", "слежу"), len(since)) as advance:
        return follow(desk.journal, since, patience, advance)


def _tell_retry(desk: Desk, output: Output, chosen: Chosen, outcome: Outcome, fates: Fates) -> int:
    gone = chosen.count - len(outcome.moved) - len(outcome.left)
    failed = [fates.records[name] for name, fate in fates.fates.items() if fate == "failed_again"]
    told = {
        "chosen": chosen.count,
        "put_back": len(outcome.moved),
        "done_anew": fates.count("done_anew"),
        "already_there": fates.count("already_there"),
        "failed_again": fates.count("failed_again"),
        "waiting": fates.count("waiting") + fates.count("unknown"),
        "to_camunda": sum(each.kind == "camunda_response" for each in outcome.moved),
        "left": len(outcome.left),
        "gone": max(0, gone),
    }
    if output.as_json:
        output.data(
            {
                **told,
                "failures": [
                    {
                        "id": each.name,
                        "group": each.error_group,
                        "code": each.code,
                        "reason": masked(desk, each.reason),
                    }
                    for each in failed
                ],
                "not_put_back": [{"id": each.name, "reason": both(desk, why)} for each, why in outcome.left],
                "remarks": [both(desk, each) for each in outcome.remarks],
            }
        )
    else:
        for text, tone in outcome_lines(told):
            output.print(text, tone)
        for each in failed[:20]:
            why = Text(each.reason or "", each.reason_ru or each.reason or "").map(desk.mask)
            output.print(why.led_by(f"  {each.name} [{each.error_group}]: "), "bad")
        for report, why in outcome.left[:20]:
            output.print(why.map(desk.mask).led_by(f"  {report.name}: "), "warn")
        for remark in outcome.remarks:
            output.note(remark.map(desk.mask), "warn")
    is_partly = failed or outcome.left or told["waiting"] or told["gone"]
    return EXIT_PARTLY if is_partly else EXIT_OK


def _tell_move(desk: Desk, output: Output, outcome: Outcome, what: Text) -> int:
    count = len(outcome.moved)
    if output.as_json:
        left = [{"id": each.name, "reason": both(desk, why)} for each, why in outcome.left]
        output.data({"moved": count, "left": left, "remarks": [both(desk, each) for each in outcome.remarks]})
    else:
        output.print(Text(f"{what.en}: {count}", f"{what.ru}: {count}"), "good")
        for report, why in outcome.left:
            output.print(why.led_by(f"  {report.name}: "), "warn")
        for remark in outcome.remarks:
            output.note(remark.map(desk.mask), "warn")
    return EXIT_PARTLY if outcome.left else EXIT_OK


def _dry_run(desk: Desk, output: Output, chosen: Chosen, moved: int) -> int:
    left = chosen.count - moved
    if output.as_json:
        output.data({"chosen": chosen.count, "would_be_moved": moved, "would_be_left": left})
        return EXIT_OK
    output.table(GROUPS, (row_of_group(output, each, desk.mask) for each in chosen.groups))
    output.print(Text(f"would be moved: {moved}, left: {left}", f"было бы перенесено: {moved}, оставлено: {left}"))
    return EXIT_OK

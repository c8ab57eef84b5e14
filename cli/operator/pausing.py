"""`main.py pause` and `resume`: what a person has a running worker do."""

from __future__ import annotations

import time
from argparse import Namespace

from cli.exit_codes import EXIT_OK
from cli.output import Output
from core.texts import Text
from operation.desk import Desk

_NOTHING_LOST = Text("its messages wait in their queues", "её сообщения ждут в своих очередях")


def pause(desk: Desk, output: Output, options: Namespace) -> int:
    until = None if options.duration is None else time.time() + options.duration
    answers = desk.workers.ask("hold", system=options.system, until=until, reason=options.reason, scope=options.scope)
    if output.as_json:
        output.data({"system": options.system, "until": until, "scope": options.scope, "workers": answers})
        return EXIT_OK
    end = Text(f"until {output.moment(until)}", f"до {output.moment(until)}")
    if until is None:
        end = Text(f"until main.py resume {options.system}", f"до команды main.py resume {options.system}")
    output.print(
        Text(
            f"{options.system} is paused {end.en}; {_NOTHING_LOST.en}",
            f"{options.system} на паузе {end.ru}; {_NOTHING_LOST.ru}",
        ),
        "good",
    )
    _warn(output, answers)
    return EXIT_OK


def resume(desk: Desk, output: Output, options: Namespace) -> int:
    answers = desk.workers.ask("release", system=options.system)
    if output.as_json:
        output.data({"system": options.system, "workers": answers})
        return EXIT_OK
    output.print(Text(f"{options.system} works again", f"{options.system} снова в работе"), "good")
    _warn(output, answers)
    for down in {each["down"]["en"]: each["down"] for each in answers if each["down"] is not None}.values():
        output.note(
            Text(
                f"{options.system} itself is down: {down['en']}; the worker goes on trying",
                f"но сама {options.system} недоступна: {down['ru']}; воркер продолжает попытки",
            ),
            "warn",
        )
    return EXIT_OK


def _warn(output: Output, answers: list[dict[str, dict[str, str] | None]]) -> None:
    for warning in {each["warning"]["en"]: each["warning"] for each in answers if each["warning"] is not None}.values():
        output.note(Text(warning["en"], warning["ru"]), "warn")

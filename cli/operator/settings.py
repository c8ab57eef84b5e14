"""`main.py config show`: every setting as it counts, and where it comes from."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence

from cli.exit_codes import EXIT_OK
from cli.folders import folder_notices
from cli.output import Cell, Output
from core.texts import Text
from core.values import cut_middle
from operation.desk import Desk
from operation.plain import plain
from operation.settings_shown import ShownSetting, Source, shown_settings
from settings.errors import Notice

SHOWN = 200  # characters of a value; --json tells all
_SOURCES: Mapping[Source, Text] = {
    "environment": Text("environment", "окружение"),
    "env_file": Text.of(".env"),
    "file": Text("file", "файл"),
    "default": Text("default", "по умолчанию"),
}


def show(desk: Desk, output: Output, options: Namespace) -> int:
    settings = desk.settings
    notices = (*settings.warnings, *folder_notices(settings.worker))
    shown = [each for each in shown_settings(settings) if each.source != "default" or not options.set]
    env_file = settings.origins.env_file
    if output.as_json:
        output.data(
            {
                "env_file": None if env_file is None else str(env_file),
                "settings": plain(shown),
                "remarks": [_remark(each) for each in notices],
            }
        )
        return EXIT_OK
    if env_file is None:
        output.print(Text("no .env was read: there is none here", ".env не прочитан: его здесь нет"))
    else:
        output.print(Text(f"{env_file} was read", f"прочитан {env_file}"))
    output.grid(_row(output, each) for each in shown)
    for notice in notices:
        output.print(Text(notice.render("en"), notice.render("ru")), "warn")
    return EXIT_OK


def _row(output: Output, each: ShownSetting) -> Sequence[str | Cell]:
    value = "–" if each.value is None else cut_middle(each.value, SHOWN)
    source = output.say(_SOURCES[each.source]) + (f" {each.file}" if each.file else "")
    return [each.variable, Cell(source, "dim" if each.source == "default" else "good"), value]


def _remark(notice: Notice) -> dict[str, str]:
    return {"variable": notice.variable, "en": notice.text.en, "ru": notice.text.ru}

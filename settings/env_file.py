"""Reads `.env` so that nothing in it is lost silently."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

from core.texts import Text
from settings.changing_file import unreadable
from settings.errors import Mistake, Notice


@dataclass
class EnvFile:
    """What a `.env` holds, and what is wrong with it. Empty values count as not set."""

    values: dict[str, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def read_env_file(path: Path | None) -> EnvFile:
    """Read a `.env`. A missing file is an empty one. `$` is an ordinary character: passwords contain it."""
    result = EnvFile()
    if path is None:
        return result
    try:
        text = path.read_text("utf-8-sig")
        result.notices.extend(_open_to_everybody(path))
    except FileNotFoundError:
        return result
    except (OSError, UnicodeDecodeError) as error:
        result.mistakes.append(
            Mistake(
                str(path),
                None,
                unreadable(error),
                Text("it must be a UTF-8 text that the worker's user may read", "нужен текст в UTF-8 с правом чтения"),
            )
        )
        return result
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            # The line itself is not shown: it may hold a password.
            result.mistakes.append(
                Mistake(
                    Text(f"{path}, line {binding.original.line}", f"{path}, строка {binding.original.line}"),
                    None,
                    Text("is not NAME=value", "это не ИМЯ=значение"),
                    Text('put the value in quotes: NAME="value"', 'возьмите значение в кавычки: ИМЯ="значение"'),
                )
            )
        elif binding.key is not None and binding.value:
            if binding.key in result.values:
                text_ = Text("is given twice in .env; the last one counts", "задано в .env дважды; действует последнее")
                result.notices.append(Notice(binding.key, text_))
            result.values[binding.key] = binding.value
    return result


def _open_to_everybody(path: Path) -> Iterator[Notice]:
    if path.stat().st_mode & stat.S_IROTH:
        yield Notice(
            str(path),
            Text(
                "can be read by everybody on this machine, and passwords stand in it: chmod 600",
                "может прочесть любой на этой машине, а в нём пароли: chmod 600",
            ),
        )

"""argparse in the reader's language: its own texts are English only, and it suggests nothing."""

from __future__ import annotations

import argparse
import difflib
import math
import re
import sys
from typing import Any, NoReturn

from core.texts import Language, Text

_USAGE = Text("usage: ", "использование: ")
_OPTIONS = Text("options", "параметры")
_COMMANDS = Text("commands", "команды")
_HELP = Text("show this help and end", "показать эту справку и закончить")
_ERROR = Text("error", "ошибка")
_MEANT = Text("did you mean {nearest}?", "может быть, {nearest}?")

_CHOICE = re.compile(r"invalid choice: '?(?P<value>.*?)'? \(choose from (?P<choices>.+)\)")
# What argparse of Python 3.11 to 3.14 says, and the same in Russian.
_MESSAGES = (
    (re.compile(r"argument (?P<name>.+?): (?P<rest>.+)", re.DOTALL), "параметр {name}: {rest}"),
    (
        re.compile(r"invalid choice: (?P<value>.+?) \(choose from (?P<choices>.+)\)"),
        "нет такого: {value}; есть {choices}",
    ),
    (re.compile(r"unrecognized arguments: (?P<what>.+)", re.DOTALL), "лишнее: {what}"),
    (re.compile(r"the following arguments are required: (?P<what>.+)"), "не хватает: {what}"),
    (re.compile(r"expected one argument"), "нужно значение"),
    (re.compile(r"(?P<value>.+) is no number"), "{value} – не число"),
    (re.compile(r"(?P<value>.+) is no duration: (?P<as_in>.+)"), "{value} – не промежуток времени: {as_in}"),
    (re.compile(r"(?P<value>.+) is no moment: (?P<as_in>.+)"), "{value} – не момент времени: {as_in}"),
    (re.compile(r"ambiguous option: (?P<what>.+?) could match (?P<names>.+)"), "{what} – это {names}?"),
    (re.compile(r"ignored explicit argument (?P<what>.+)"), "значение {what} не нужно"),
)


class Parser(argparse.ArgumentParser):
    """A parser whose help and mistakes are in `lang`; the parsers of commands inherit it."""

    def __init__(self, lang: Language, **options: Any) -> None:
        super().__init__(add_help=False, allow_abbrev=False, formatter_class=_formatter(lang), **options)
        self._lang = lang
        self._optionals.title = _OPTIONS.say(lang)
        self._positionals.title = _COMMANDS.say(lang)
        self.add_argument("-h", "--help", action="help", help=_HELP.say(lang))

    def error(self, message: str) -> NoReturn:
        """End the program with exit code 2."""
        told = translated(message, self._lang)
        if (nearest := _nearest(message)) is not None:
            told += f"; {_MEANT.say(self._lang).format(nearest=nearest)}"
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {_ERROR.say(self._lang)}: {told}\n")


def number(text: str) -> int:
    """Read an option's whole number. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text)


def seconds(text: str) -> float:
    """Read an option's seconds. Raises ArgumentTypeError."""
    try:
        told = float(text)
    except ValueError:
        told = math.nan
    if not 0 <= told < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return told


def translated(message: str, lang: Language) -> str:
    """Return a message of argparse in the reader's language; what is not known stays English."""
    if lang != "ru":
        return message
    for pattern, text in _MESSAGES:
        if found := pattern.fullmatch(message):
            return text.format(**{name: translated(value, lang) for name, value in found.groupdict().items()})
    return message


def _nearest(message: str) -> str | None:
    found = _CHOICE.search(message)
    if found is None:
        return None
    choices = [each.strip(" '") for each in found["choices"].split(",")]
    return next(iter(difflib.get_close_matches(found["value"], choices, 1, 0.5)), None)


def _formatter(lang: Language) -> type[argparse.HelpFormatter]:
    class Formatter(argparse.RawDescriptionHelpFormatter):
        def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
            super().add_usage(usage, actions, groups, _USAGE.say(lang) if prefix is None else prefix)

    return Formatter

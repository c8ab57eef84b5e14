"""Errors and notices about settings: every text in English and in Russian, secrets never in clear.

A validator raises `ValueProblem`; the loader collects everything that is wrong into one `SettingsError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from core.texts import Language, Text


class ValueProblem(ValueError):  # noqa: N818  # not an error of the program: pydantic wants a ValueError
    """What is wrong with one value, and what to write instead."""

    def __init__(self, problem: Text, hint: Text) -> None:
        super().__init__(problem.en)
        self.problem = problem
        self.hint = hint


class FieldProblem(NamedTuple):
    """A problem that shows only beside other fields; `field` is the attribute that has to change.

    It is not reported when `beside`, another attribute, is wrong itself.
    """

    field: str
    problem: Text
    hint: Text
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong setting. `shown` is the value as it may be printed, None when there is none to show.

    It is not reported when `beside`, another variable, is wrong itself.
    """

    variable: str | Text  # or where it stands, if it has no name
    shown: str | None
    problem: Text
    hint: Text
    beside: str | None = None

    def render(self, language: Language) -> str:
        variable = Text.of(self.variable).say(language)
        name = variable if self.shown is None else f"{variable}={self.shown}"
        return f"  {name}\n      {self.problem.say(language)}\n      → {self.hint.say(language)}"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a setting that is no mistake but worth a line in the start-up log."""

    variable: str
    text: Text

    def render(self, language: Language) -> str:
        # No colon: what follows one behind PASSWORD or TOKEN is masked.
        return f"{self.variable} – {self.text.say(language)}"


class SettingsError(Exception):
    """The settings are wrong; `mistakes` lists all of them at once. The program ends with exit code 78."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__(mistakes)
        self.mistakes = tuple(mistakes)

    def __str__(self) -> str:
        return self.render("en")

    def render(self, language: Language) -> str:
        title = Text("Mistakes in the settings", "Ошибки в настройках").say(language)
        return "\n".join([f"{title}: {len(self.mistakes)}", *(each.render(language) for each in self.mistakes)])

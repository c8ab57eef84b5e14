"""Renders templates of mails: Jinja2 files of one folder, in a sandbox and within bounds.

A message names a template, it never brings one. `welcome` is `welcome.subject.txt`, `welcome.txt` and `welcome.html`,
of which one of the last two must be there. The bounds stop a template that runs away with large data; they are no
defence against somebody who may write into the folder.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound, UndefinedError, nodes
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from core import values
from core.errors import PermanentError, TransientError
from core.texts import BilingualError, Text

RENDERED_LIMIT = 2_000_000  # characters of one part
STEP_LIMIT = 200_000  # turns of loops and calls in one part
TIME_LIMIT = 10.0  # seconds for one part

_NAME = re.compile(r"[a-z0-9_-]{1,100}")
_COUNTED = "counted by the budget"  # no name that a template could write


class Rendered(NamedTuple):
    """The parts of a template; None for a file that is not there."""

    subject: str | None
    text: str | None
    html: str | None


class Templates:
    """The templates of one folder. Usable from any thread; a changed file is read again."""

    def __init__(self, folder: Path | None) -> None:
        self._environment = _BoundedEnvironment(folder) if folder is not None else None

    def render(self, name: Any, variables: Mapping[str, Any]) -> Rendered:
        """Render a template. Raises PermanentError that names it and what is wrong with it or missing for it."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            wanted = Text(
                "the name of a template (small letters, digits, - and _)",
                "имя шаблона (строчные латинские буквы, цифры, - и _)",
            )
            raise values.BadValueError("template", name, wanted)
        if self._environment is None:
            raise _bad_template(name, Text("EMAIL_TEMPLATES_DIR is not set", "EMAIL_TEMPLATES_DIR не задана"))
        files = (f"{name}.subject.txt", f"{name}.txt", f"{name}.html")
        rendered = Rendered(*(self._part(self._environment, file, variables) for file in files))
        if rendered.text is None and rendered.html is None:
            reason = Text(
                f"there is no template {name}: EMAIL_TEMPLATES_DIR has neither {name}.txt nor {name}.html",
                f"шаблона {name} нет: в EMAIL_TEMPLATES_DIR нет ни {name}.txt, ни {name}.html",
            )
            raise PermanentError(reason, code="template")
        return rendered

    @staticmethod
    def _part(environment: _BoundedEnvironment, file: str, variables: Mapping[str, Any]) -> str | None:
        try:
            return environment.bounded(file, variables)
        except TemplateNotFound as error:
            if error.name == file:
                return None
            raise _bad_template(file, Text(f"there is no {error.name}", f"нет {error.name}")) from None
        except OSError as error:
            reason = Text(
                f"template {file} cannot be read: {error.strerror}", f"шаблон {file} не читается: {error.strerror}"
            )
            raise TransientError(reason, code="template") from None
        except RecursionError:
            reason = Text(f"template {file} calls itself without end", f"шаблон {file} без конца вызывает сам себя")
            raise PermanentError(reason, code="template") from None
        except _ToldError as error:
            raise _bad_template(file, error.text.led_by(f"{error.kind}: ")) from None
        except (
            TemplateError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            MemoryError,
        ) as error:
            # Whatever a template makes of its variables: it will be the same next time.
            raise _bad_template(file, Text.of(f"{type(error).__name__}: {error}")) from None


def unreadable(reason: Text) -> StrictUndefined:
    """Return what stands in the place of an input that cannot be read."""
    raised = partial(_UnreadableError, reason)
    return StrictUndefined(reason.en, exc=raised)  # type: ignore[arg-type]  # Jinja2 names a class and only calls it


def _bad_template(name: str, what: Text) -> PermanentError:
    reason = what.map(lambda each: values.cut_characters(each, 500))
    return PermanentError(Text(f"template {name}: {reason.en}", f"шаблон {name}: {reason.ru}"), code="template")


class _ToldError(BilingualError, TemplateError):
    """An error in our own words, in both languages; `kind` is what Jinja2 calls it, its own wording is not needed."""

    kind = TemplateError.__name__

    def __init__(self, text: Text, _own: str | None = None) -> None:
        super().__init__(text)


class _UnreadableError(_ToldError, UndefinedError):
    kind = UndefinedError.__name__


class _Budget:
    """What one rendering may still cost."""

    def __init__(self) -> None:
        self._steps = STEP_LIMIT
        self._characters = RENDERED_LIMIT
        self._deadline = time.monotonic() + TIME_LIMIT

    def step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise _ToldError(
                Text(
                    f"more than {STEP_LIMIT} turns of loops and calls", f"больше {STEP_LIMIT} оборотов циклов и вызовов"
                )
            )
        if self._steps % 256 == 0:
            self.look_at_the_clock()

    def write(self, piece: str) -> None:
        self._characters -= len(piece)
        if self._characters < 0:
            raise _ToldError(Text(f"more than {RENDERED_LIMIT} characters", f"больше {RENDERED_LIMIT} символов"))
        self.look_at_the_clock()

    def look_at_the_clock(self) -> None:
        if time.monotonic() > self._deadline:
            raise _ToldError(Text(f"longer than {TIME_LIMIT:g} s", f"дольше {TIME_LIMIT:g} с"))


class _BoundedEnvironment(SandboxedEnvironment):
    """An environment with bounds.

    Counts turns of loops and calls, and refuses operators that make something huge out of something small.
    """

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, folder: Path) -> None:
        super().__init__(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            autoescape=lambda name: name is not None and name.endswith(".html"),
        )
        self._now = threading.local()
        self.filters[_COUNTED] = self._counted

    def bounded(self, file: str, variables: Mapping[str, Any]) -> str:
        self._now.budget = budget = _Budget()
        pieces = []
        for piece in self.get_template(file).generate(variables):
            budget.write(piece)
            pieces.append(piece)
        return "".join(pieces)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  # as its base: a template may pass any name
        __self._now.budget.step()
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if not numbers or (operator == "**" and (abs(left) > 1e6 or abs(right) > 100)):
            raise _ToldError(
                Text(
                    f"{operator} is for numbers that stay small",
                    f"{operator} – только для чисел, которые остаются малыми",
                )
            )
        return super().call_binop(context, operator, left, right)

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        # Jinja2's own hook for whoever changes what is compiled.
        for loop in source.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
        return super()._generate(source, name, filename, defer_init)

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._now.budget.step()
            yield item

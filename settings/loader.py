"""Reads the environment and `.env` into validated settings, and reports everything that is wrong at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from core.secrets import MASK, MIN_LENGTH, Secrets
from core.texts import Text, escape
from core.values import cut_middle
from settings.base import EnvironmentSettings, NamedSecrets
from settings.env_file import read_env_file
from settings.errors import Mistake, Notice, SettingsError
from settings.names import NamesOfOthers, closest_name, named_secrets, prefixed, secret_fields, variables_of
from settings.origins import Origins
from settings.secret_files import FileSecret, SecretFileError, read_secret
from settings.texts import default_text, explain

SHOWN_LENGTH = 400  # characters of a wrong value that are repeated to the reader: any path that people write is whole

_SettingsT = TypeVar("_SettingsT", bound=EnvironmentSettings)


class SettingsReader:
    """Reads one settings class after the other and gathers everything that is wrong, to be reported at once."""

    def __init__(self, environ: Mapping[str, str], env_file: Path | None) -> None:
        """Read the file, which may be missing; the environment wins over it."""
        file = read_env_file(env_file)
        environ = {name: value for name, value in environ.items() if value.strip()}
        there = None if env_file is None or not env_file.exists() else env_file.absolute()
        self.origins = Origins(there, frozenset(environ), frozenset(file.values))
        self._env_file = file.values
        self._values = {**file.values, **environ}
        self._mistakes = list(file.mistakes)
        self._notices = list(file.notices)
        self._named: set[str] = set()  # variables that other values, or their prefix, name
        self._mask = Secrets().mask

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What works but should be known."""
        return tuple(self._notices)

    def conclude(self, found: Sequence[Mistake]) -> None:
        """Raise SettingsError if anything is wrong. `found` beside a mistake that is reported already is left out."""
        wrong = {each.variable for each in self._mistakes}
        mistakes = [*self._mistakes, *(each for each in found if each.beside not in wrong)]
        if mistakes:
            raise SettingsError(mistakes)

    def read(self, cls: type[_SettingsT]) -> _SettingsT | None:
        """Return an instance.

        Where a value is wrong its default stands in, so that the cross-checks are made as well.
        """
        variables, values, bad = variables_of(cls), self._raw_values(cls), set[str]()
        try:
            settings = cls(**values)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                field = str(each["loc"][0]) if each["loc"] else ""
                bad.add(field)
                if each["type"] == "default_factory_not_called":
                    continue  # it hangs on another field, whose mistake is told
                info = cls.model_fields.get(field, FieldInfo())
                variable = variables.get(field, cls.__name__)
                self._mistake(variable, self._shown(cls, field, variable), *explain(each, info, variable))
            try:
                settings = cls(**{field: value for field, value in values.items() if field not in bad})
            except ValidationError:  # a value without a default; its mistake is told already
                return None
        for problem in settings.cross_check():
            if problem.field not in bad and problem.beside not in bad:
                variable = variables[problem.field]
                shown = self._shown(cls, problem.field, variable) or default_text(cls.model_fields[problem.field])
                self._mistake(variable, shown, problem.problem, problem.hint)
        self._notices += [Notice(variables[field], text) for field, text in settings.notices() if field not in bad]
        return self._with_file_secrets(settings, {field: value for field, value in values.items() if field not in bad})

    def _raw_values(self, cls: type[EnvironmentSettings]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        secrets = secret_fields(cls)
        for field, variable in variables_of(cls).items():
            value = self._secret(variable) if field in secrets else self._values.get(variable, "").strip()
            if value:
                values[field] = value
        for field, marked in named_secrets(cls).items():
            names = set(marked.names(values))
            self._named |= names
            values[field] = {name: secret for name in sorted(names) if (secret := self._secret(name))}
        for field, mark in prefixed(cls).items():
            names = mark.names(self._values)
            self._named |= names
            values[field] = {
                name: SecretStr(self._secret(name)) if mark.is_secret(name) else self._values[name].strip()
                for name in sorted(names)
            }
        return values

    def _secret(self, variable: str) -> str:
        value, file = self._values.get(variable, ""), self._values.get(f"{variable}_FILE", "").strip()
        if value and file:
            self._mistake(
                f"{variable}_FILE",
                file,
                Text(f"{variable} is set as well", f"{variable} тоже задана"),
                Text("set only one of the two", "задайте только одну из двух"),
            )
        elif file:
            value = self._secret_file(f"{variable}_FILE", Path(file))
        if value and len(value) < MIN_LENGTH:
            text = Text(
                f"shorter than {MIN_LENGTH} characters: logs cannot mask it",
                f"короче {MIN_LENGTH} символов: в журналах её не скрыть",
            )
            self._notices.append(Notice(variable, text))
        return value

    def _secret_file(self, variable: str, path: Path) -> str:
        try:
            return read_secret(path)
        except SecretFileError as error:
            hint = Text(
                "the file must hold the secret alone, as UTF-8 text, readable by the worker's user",
                "в файле должен быть только секрет, текст UTF-8, с правом чтения у пользователя воркера",
            )
            self._mistake(variable, str(path), error.text, hint)
            return ""

    def _file_of(self, variable: str) -> Path | None:
        file = self._values.get(f"{variable}_FILE", "").strip()
        return None if self._values.get(variable) or not file else Path(file)

    def _with_file_secrets(self, settings: _SettingsT, values: Mapping[str, Any]) -> _SettingsT:
        """Return the settings with the secrets that stand in files replaced by secrets that follow their file."""
        cls, live = type(settings), dict[str, Any]()
        for field in secret_fields(cls):
            variable, secret = variables_of(cls)[field], getattr(settings, field)
            path = self._file_of(variable)
            if path is not None and isinstance(secret, SecretStr):
                accept = partial(_accepted, cls, values, field)
                live[field] = FileSecret(secret.get_secret_value(), f"{variable}_FILE", path, accept)
        for field, marked in named_secrets(cls).items():
            live[field] = dict(getattr(settings, field))
            for name, secret in live[field].items():
                path = self._file_of(name)
                if path is not None:
                    accept = partial(_accepted_by_name, marked, values, field, name)
                    live[field][name] = FileSecret(secret.get_secret_value(), f"{name}_FILE", path, accept)
        return settings.model_copy(update=live)

    def judge_names(self, classes: Sequence[type[EnvironmentSettings]], of_others: NamesOfOthers) -> None:
        """Look for variables that no setting has, which may be misspelt ones."""
        known = {variable for cls in classes for variable in variables_of(cls).values()}
        known |= {f"{variables_of(cls)[field]}_FILE" for cls in classes for field in secret_fields(cls)}
        known |= self._named | {f"{name}_FILE" for name in self._named}
        for name in self._values:
            if name in known or name in of_others:
                continue
            in_file = name in self._env_file
            close = closest_name(name, known, of_others.synonyms, in_file=in_file)
            # In the environment a name beside the right one is more likely another program's than a slip.
            if close and (in_file or close not in self._values):
                self._mistake(
                    name,
                    None,
                    Text("is not a known setting", "неизвестная настройка"),
                    Text(f"did you mean {close}?", f"возможно, вы имели в виду {close}?"),
                )
            elif in_file or close:
                text = Text("is not a known setting; it is ignored", "неизвестная настройка; она не учитывается")
                self._notices.append(Notice(name, text))

    def _shown(self, cls: type[EnvironmentSettings], field: str, variable: str) -> str | None:
        if field in secret_fields(cls):
            is_given = variable in self._values or f"{variable}_FILE" in self._values
            return MASK if is_given else None
        return self._values.get(variable)

    def _mistake(self, variable: str, shown: str | None, problem: Text, hint: Text) -> None:
        self._mistakes.append(Mistake(variable, shown and self._printable(shown), self._clean(problem), hint))

    def _clean(self, text: Text) -> Text:
        return text.map(lambda each: escape(self._mask(each)))

    def _printable(self, value: str) -> str:
        return cut_middle(escape(self._mask(value)), SHOWN_LENGTH)


def _accepted(cls: type[EnvironmentSettings], values: Mapping[str, Any], field: str, secret: str) -> str:
    """Return the secret as its settings class makes it.

    Raises ValueError (a ValidationError is one) for what it refuses.
    """
    settings = cls(**{**values, field: secret})
    accepted = getattr(settings, field)
    if not isinstance(accepted, SecretStr) or not accepted.get_secret_value():
        raise ValueError(field)
    return accepted.get_secret_value()


def _accepted_by_name(marked: NamedSecrets, values: Mapping[str, Any], field: str, name: str, secret: str) -> str:
    if not marked.accepts(values, {**values[field], name: secret}):
        raise ValueError(name)
    return secret

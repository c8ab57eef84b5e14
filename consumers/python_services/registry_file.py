"""Reads SERVICES_FILE (TOML, or YAML by its ending) and reports everything that is wrong, by its path in the file."""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from consumers.python_services.registry import KINDS, HttpSpec, Registry, Spec
from core.texts import Text
from settings.changing_file import unreadable
from settings.texts import explain

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DOCUMENT = Text("docs/python-services.md shows every key", "все ключи показаны в docs/python-services.ru.md")


class Problem(NamedTuple):
    """One mistake in the file; `path` like `services.yandex-disk.url`."""

    path: str
    problem: Text
    hint: Text


class UnreadableError(Exception):
    """The file as a whole cannot be used."""

    def __init__(self, problem: Text, hint: Text) -> None:
        super().__init__(problem.en)
        self.problem = problem
        self.hint = hint


def read_document(path: Path) -> Mapping[str, Any]:
    """Read the file. Raises UnreadableError."""
    ending = path.suffix.lower()
    if ending not in {".toml", ".yaml", ".yml"}:
        raise UnreadableError(
            Text("is neither TOML nor YAML by its name", "по имени это не TOML и не YAML"),
            Text("let it end in .toml, .yaml or .yml", "имя должно кончаться на .toml, .yaml или .yml"),
        )
    try:
        text = path.read_text("utf-8-sig")
        document = tomllib.loads(text) if ending == ".toml" else yaml.load(text, _StrictLoader)  # noqa: S506  # a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(unreadable(error), _DOCUMENT) from None
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError) as error:
        where = _place(error)
        raise UnreadableError(Text(f"is broken: {where}", f"файл испорчен: {where}"), _DOCUMENT) from None
    if (
        not isinstance(document, Mapping)
        or set(document) != {"services"}
        or not isinstance(document["services"], Mapping)
    ):
        raise UnreadableError(
            Text("has something else than services at its top", "на верхнем уровне не только services"),
            Text(
                "[services.<name>] for each service, nothing else",
                "[services.<имя>] для каждого сервиса и ничего больше",
            ),
        )
    return document


def named_variables(path: Path) -> Iterator[str]:
    """Yield the variables whose secrets the file wants, as far as it is right; `read_registry` reports the rest."""
    try:
        services = read_document(path)["services"]
    except UnreadableError:
        return
    for service in services.values():
        auth = service.get("auth") if isinstance(service, Mapping) else None
        for key, value in auth.items() if isinstance(auth, Mapping) else ():
            if str(key).endswith("_env") and isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
                yield value


def read_registry(path: Path, secrets: Mapping[str, SecretStr]) -> tuple[Registry, list[Problem]]:
    """Return what is right in the file, and everything that is wrong. Raises UnreadableError."""
    services: dict[str, Spec] = {}
    problems: list[Problem] = []
    for name, written in read_document(path)["services"].items():
        spec = _service(str(name), written, problems)
        if spec is not None:
            services[str(name)] = spec
            problems += _of_secrets(str(name), spec, secrets)
            problems += _of_files(str(name), spec)
    problems += _of_topics(services)
    return Registry(services), problems


def _service(name: str, written: Any, problems: list[Problem]) -> Spec | None:
    path = f"services.{name}"
    if not _NAME.fullmatch(name):
        text = Text("is not a name for a service", "это не имя сервиса")
        problems.append(Problem(path, text, Text("latin letters, digits, - _ .", "латинские буквы, цифры, - _ .")))
        return None
    kind = written.get("kind") if isinstance(written, Mapping) else None
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        text = Text("is neither http nor python", "это не http и не python")
        choices = Text('kind = "http" or kind = "python"', 'kind = "http" или kind = "python"')
        problems.append(Problem(f"{path}.kind", text, choices))
        return None
    try:
        return model.model_validate(written)
    except ValidationError as error:
        problems += [_explained(path, each, model) for each in error.errors(include_url=False)]
        return None


def _explained(path: str, error: Any, model: type[BaseModel]) -> Problem:
    location = [str(part) for part in error["loc"] if part != "[key]"]
    full = ".".join([path, *location])
    field, siblings = _field(model, location)
    problem, hint = explain({**error, "loc": error["loc"][:1]}, field, full)
    if error["type"] == "extra_forbidden":
        known = ", ".join(siblings)
        hint = Text(f"known here: {known}", f"здесь известны: {known}")
    elif error["type"] == "missing":
        hint = _DOCUMENT
    return Problem(full, problem, hint)


def _field(model: type[BaseModel], location: list[str]) -> tuple[FieldInfo, Collection[str]]:
    """Return the field at a place, and the names that its neighbours have."""
    info, siblings = FieldInfo(), list(model.model_fields)
    for part in location:
        if part not in model.model_fields:
            break
        info, siblings = model.model_fields[part], list(model.model_fields)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            model, siblings = info.annotation, list(info.annotation.model_fields)
    return info, siblings


def _of_secrets(name: str, spec: Spec, secrets: Mapping[str, SecretStr]) -> Iterator[Problem]:
    if not isinstance(spec, HttpSpec):
        return
    for key in ("password_env", "token_env", "value_env", "secret_env"):
        variable = getattr(spec.auth, key)
        if variable is None:
            continue
        path = f"services.{name}.auth.{key}"
        if variable not in secrets:
            text = Text(f"{variable} is not set", f"{variable} не задана")
            hint = Text(f"set {variable} or {variable}_FILE", f"задайте {variable} или {variable}_FILE")
            yield Problem(path, text, hint)
        elif key == "secret_env" and not is_signing_key(secrets[variable].get_secret_value()):
            text = Text(f"{variable} is not a signing key", f"{variable} не ключ подписи")
            yield Problem(path, text, Text("base64, as whsec_…", "base64 в виде whsec_…"))
        elif (
            not secrets[variable].get_secret_value().isprintable() or not secrets[variable].get_secret_value().isascii()
        ):
            text = Text(f"{variable} holds what no header can carry", f"{variable}: такое не передать в заголовке")
            yield Problem(path, text, Text("plain ASCII in one line", "обычные символы ASCII в одну строку"))


def is_signing_key(secret: str) -> bool:
    try:
        return len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) > 0
    except (binascii.Error, ValueError):
        return False


def _of_files(name: str, spec: Spec) -> Iterator[Problem]:
    if isinstance(spec, HttpSpec) and spec.ca_file is not None and not Path(spec.ca_file).is_file():
        text = Text("there is no such file", "такого файла нет")
        hint = Text("give the path of an existing file", "укажите путь к существующему файлу")
        yield Problem(f"services.{name}.ca_file", text, hint)


def _of_topics(services: Mapping[str, Spec]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, spec in services.items():
        for topic in dict.fromkeys(spec.topics):
            owner = owners.setdefault(topic, name)
            if owner != name:
                text = Text(f"{topic!r} belongs to {owner} already", f"{topic!r} уже принадлежит {owner}")
                yield Problem(f"services.{name}.topics", text, Text("one service per topic", "один сервис на топик"))


class _StrictLoader(yaml.SafeLoader):
    """A loader that refuses two keys with the same name, of which YAML would take the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(keys) != len(set(map(repr, keys))):
            raise yaml.constructor.ConstructorError(None, None, "a key is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _place(error: Exception) -> str:
    """Return where and what, without the lines of the file: a secret may stand in them by mistake."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"{getattr(error, 'problem', '')} (line {mark.line + 1}, column {mark.column + 1})"
    found = re.search(r"\(at (?:line \d+, column \d+|end of document)\)", str(error))
    return found[0].strip("()") if found else type(error).__name__

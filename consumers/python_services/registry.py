"""Defines what SERVICES_FILE says: the services, and which of them a topic belongs to.

Nothing is read or asked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from consumers.python_services.addresses import checked_host, checked_template
from core.texts import Text
from settings.base import PositiveCount, Seconds
from settings.errors import ValueProblem

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type", "idempotency-key"})
_SECRET_WORDS = ("authorization", "cookie", "token", "secret", "password", "api-key", "apikey")

# What each kind of authentication takes, beside `type`.
_AUTH_KEYS: Mapping[str, frozenset[str]] = {
    "none": frozenset(),
    "basic": frozenset({"username", "password_env"}),
    "bearer": frozenset({"token_env"}),
    "header": frozenset({"header", "value_env"}),
    "hmac": frozenset({"secret_env"}),
}


def _matching(pattern: str, problem: Text, hint: Text) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueProblem(problem, hint)
        return value

    return AfterValidator(check)


Variable = Annotated[
    str,
    _matching(
        r"[A-Za-z_][A-Za-z0-9_]*",
        Text("is not the name of an environment variable", "это не имя переменной окружения"),
        Text(
            "the secret itself does not belong into the file: put it into a variable and name that, like MY_TOKEN",
            "самому секрету в файле не место: поместите его в переменную и укажите её имя, например MY_TOKEN",
        ),
    ),
]
Path = Annotated[
    str,
    _matching(
        r"\$(\.[\w-]+)+",
        Text("is not a path into the answer", "это не путь в ответе"),
        Text("names joined by dots, like $.job.status", "имена через точку, например $.job.status"),
    ),
]
CallablePath = Annotated[
    str,
    _matching(
        r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*",
        Text("is not the name of a function", "это не имя функции"),
        Text("package.module:function", "package.module:function"),
    ),
]
Topic = Annotated[
    str,
    _matching(
        r"\S+",
        Text("is not a topic", "это не топик"),
        Text("a name like send_email or yandex_*", "имя, например send_email или yandex_*"),
    ),
]
Topics = Annotated[list[Topic], Field(min_length=1)]
Status = Annotated[int, Field(ge=400, le=599)]
Code = Annotated[
    str, _matching(r"\S.{0,199}", Text("is not an error code", "это не код ошибки"), Text("a text", "текст"))
]


def _checked_url(template: str) -> str:
    if any(word in urlsplit(checked_template(template)).query.lower() for word in _SECRET_WORDS):
        raise ValueProblem(
            Text("holds a secret", "содержит секрет"),
            Text(
                "use auth: an address stands in logs and queues", "используйте auth: адрес виден в журналах и очередях"
            ),
        )
    return template


def _checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueProblem(
                Text(f"{name!r} is no header that HTTP allows", f"{name!r}: HTTP не допускает такой заголовок"),
                Text("plain ASCII in name and value", "имя и значение из обычных символов ASCII"),
            )
        if name.lower() in _OURS:
            raise ValueProblem(
                Text(f"{name} is set by the worker itself", f"{name} задаёт сам воркер"),
                Text("leave it out", "уберите его"),
            )
        if any(word in name.lower() for word in _SECRET_WORDS):
            raise ValueProblem(
                Text(f"{name} holds a secret", f"{name} содержит секрет"),
                Text(
                    "use auth with type header and value_env, the name of a variable",
                    "используйте auth с type header и value_env, именем переменной",
                ),
            )
    return headers


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Auth(_Part):
    """How a service knows us. Secrets are given as names of environment variables only."""

    type: Literal["none", "basic", "bearer", "header", "hmac"] = "none"
    username: str | None = None
    password_env: Variable | None = None
    token_env: Variable | None = None
    header: str | None = None
    value_env: Variable | None = None
    secret_env: Variable | None = None

    @property
    def variables(self) -> list[str]:
        named = (self.password_env, self.token_env, self.value_env, self.secret_env)
        return [each for each in named if each is not None]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = {name for name in type(self).model_fields if name != "type" and getattr(self, name) is not None}
        wanted = _AUTH_KEYS[self.type]
        if given != wanted:
            names = ", ".join(sorted(wanted)) or "-"
            raise ValueProblem(
                Text(f"type {self.type} has other keys", f"у type {self.type} другие ключи"),
                Text(f"it takes: {names}", f"нужны: {names}"),
            )
        if self.username is not None and ":" in self.username:
            raise ValueProblem(
                Text("username has a colon, which Basic does not know", "в username двоеточие, Basic его не допускает"),
                Text("another username", "другое имя"),
            )
        if self.header is not None and (not _HEADER_NAME.fullmatch(self.header) or self.header.lower() in _OURS):
            raise ValueProblem(
                Text("header is no header for credentials", "header не заголовок для учётных данных"),
                Text("X-API-Key", "X-API-Key"),
            )
        return self


class Timeouts(_Part):
    """Time-outs in seconds: for a connection, and for one silence of the server."""

    connect: Seconds = 5.0
    read: Seconds = 30.0


class Poll(_Part):
    """How the answers of a job are read, and how often it is asked. Times are in seconds."""

    status: Path = "$.status"
    done: list[str] = Field(default_factory=lambda: ["succeeded"])
    failed: list[str] = Field(default_factory=lambda: ["failed", "cancelled"])
    running: list[str] = Field(default_factory=lambda: ["running"])
    result: Path = "$.result"
    min: Seconds = 10.0
    max: Seconds = 600.0
    deadline: Seconds = 86_400.0

    @property
    def needs_status(self) -> bool:
        """Whether an answer needs a status: one without is a result, unless the file says where a status stands."""
        return "status" in self.model_fields_set

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.min <= self.max <= self.deadline:
            raise ValueProblem(
                Text("min, max and deadline are out of order", "min, max и deadline не по порядку"),
                Text("min <= max <= deadline, in seconds", "min <= max <= deadline, в секундах"),
            )
        return self


class HttpSpec(_Part):
    """A service over HTTP. `at_once` is how many requests it is given at the same time."""

    kind: Literal["http"]
    topics: Topics
    url: Annotated[str, AfterValidator(_checked_url)]
    method: Literal["POST", "PUT"] = "POST"
    headers: Annotated[dict[str, str], AfterValidator(_checked_headers)] = Field(default_factory=dict)
    auth: Auth = Auth()
    timeout: Timeouts = Timeouts()
    poll: Poll = Poll()
    bpmn_errors: dict[Status, Code] = Field(default_factory=dict)
    status_hosts: list[Annotated[str, AfterValidator(checked_host)]] = Field(default_factory=list)
    ca_file: str | None = None
    at_once: PositiveCount = 4


class PythonSpec(_Part):
    """A function that is called in a process of its own. `timeout` is in seconds, `at_once` a number of processes."""

    kind: Literal["python"]
    topics: Topics
    callable: CallablePath
    timeout: Seconds = 60.0
    idempotent: bool = False
    at_once: PositiveCount = 1


Spec = HttpSpec | PythonSpec
KINDS: Mapping[Any, type[HttpSpec] | type[PythonSpec]] = {"http": HttpSpec, "python": PythonSpec}


class Registry:
    """The services by name."""

    def __init__(self, services: Mapping[str, Spec]) -> None:
        self.services = services
        self._exact = {topic: name for name, spec in services.items() for topic in spec.topics if not is_glob(topic)}
        globs = [(topic, name) for name, spec in services.items() for topic in spec.topics if is_glob(topic)]
        self._globs = sorted(
            globs, key=lambda each: -len(each[0])
        )  # stable: of equally long ones the first in the file

    @property
    def topics(self) -> list[str]:
        return sorted(topic for spec in self.services.values() for topic in spec.topics)

    def service_of(self, topic: str) -> str | None:
        """Return the service of a topic. The exact topic wins, then the longest pattern."""
        if topic in self._exact:
            return self._exact[topic]
        return next((name for pattern, name in self._globs if fnmatchcase(topic, pattern)), None)


def is_glob(topic: str) -> bool:
    return any(sign in topic for sign in "*?[")


def variables_of(specs: Iterable[Spec]) -> list[str]:
    """Return the environment variables that hold the services' secrets."""
    return [name for spec in specs if isinstance(spec, HttpSpec) for name in spec.auth.variables]

"""The RabbitMQ of the demo: the one that the environment names, or else a private node.

A named broker is somebody's: the demo works only in a virtual host without queues of the contract, which it leaves
as it found it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from broker.connection import connection_parameters
from broker.settings import RabbitMQSettings
from cli.demo.texts import say
from config import load_settings
from core.secrets import MASK
from core.texts import Language, Text
from sandbox.camunda import CamundaSide
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_install import find_server
from sandbox.rabbitmq_versions import VARIABLE, VersionError, chosen_version
from settings.errors import Mistake, SettingsError
from settings.names import secret_fields, variables_of

_NAMES_OF_THE_CONTRACT = {"tasks_exchange", "alternate_exchange", "responses_exchange", "responses_queue", "queue_type"}


class ForeignQueuesError(Exception):
    """The named virtual host holds queues or exchanges of the contract: somebody may be using them."""

    def __init__(self, vhost: str, found: Sequence[str]) -> None:
        super().__init__(f"the virtual host {vhost} holds {', '.join(found)}")
        self.vhost = vhost
        self.found = tuple(found)


@dataclass(frozen=True, slots=True)
class DemoBroker:
    """The RabbitMQ of the demo.

    `environment` is how the worker finds it, `url` how a person does (a foreign password is masked).

    `private_environment` is what another terminal needs for a private node; with a named broker it is there already.
    """

    parameters: Sequence[Any]  # pika's, which the sandbox uses
    environment: Mapping[str, str]
    private_environment: Mapping[str, str]
    url: str
    description: str


@contextlib.contextmanager
def open_broker(
    environ: Mapping[str, str],
    lang: Language,
    queues: Sequence[str] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> Iterator[DemoBroker]:
    """Give a broker with the topology of the contract, gone after the block. `queues` are further ones that are used.

    Raises SettingsError (wrong RABBITMQ_*), CamundaSideError (no connection), ForeignQueuesError; NoServerError,
    NodeError or GuardError when no private node can be had.
    """
    given = rabbitmq_variables(environ)
    version = _wanted_version(environ)
    if given and version:
        raise SettingsError([_two_wishes(version, given)])
    with _named_broker(given, lang, queues) if given else _private_node(version, lang, progress) as broker:
        yield broker


def rabbitmq_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the daemon's own RABBITMQ_* variables that are set; names that RabbitMQ's server uses do not count."""
    variables = variables_of(RabbitMQSettings)
    names = {variable for field, variable in variables.items() if field not in _NAMES_OF_THE_CONTRACT}
    names |= {f"{variables[field]}_FILE" for field in secret_fields(RabbitMQSettings)}
    return {name: environ[name] for name in sorted(names) if environ.get(name, "").strip()}


def _wanted_version(environ: Mapping[str, str]) -> str | None:
    try:
        return chosen_version(environ)
    except VersionError as error:
        problem = Text("the demo's own server has no such version", "у собственного сервера демо нет такой версии")
        choices = ", ".join(error.choices)
        hint = Text(f"{choices}, or leave it unset", f"{choices} или не задавайте")
        raise SettingsError([Mistake(VARIABLE, error.value, problem, hint)]) from error


def _two_wishes(version: str, given: Mapping[str, str]) -> Mistake:
    names = ", ".join(given)
    return Mistake(
        VARIABLE,
        version,
        Text(
            f"chooses the demo's own server, but {names} names yours",
            f"выбирает собственный сервер демо, но {names} указывает ваш",
        ),
        Text("unset one of the two", "уберите одно из двух"),
    )


@contextlib.contextmanager
def _private_node(version: str | None, lang: Language, progress: Callable[[str], None]) -> Iterator[DemoBroker]:
    server = find_server(version, progress=lambda step: progress(say(lang, f"server_{step}")))
    progress(say(lang, "node_starts"))
    with RabbitNode(server) as node:
        address = node.address
        parameters = [address.amqp_parameters()]
        with CamundaSide(parameters) as camunda:
            camunda.declare_topology()
        yield DemoBroker(
            parameters,
            address.environment(),
            address.environment(),
            f"amqp://{address.username}:{address.password}@{address.host}:{address.port}/%2F",
            say(lang, "private_node", place=f"{address.host}:{address.port}", version=node.version),
        )


@contextlib.contextmanager
def _named_broker(given: Mapping[str, str], lang: Language, queues: Sequence[str]) -> Iterator[DemoBroker]:
    settings = load_settings(given, None).rabbitmq
    parameters = connection_parameters(settings, "demo")
    vhost = settings.virtual_host
    with CamundaSide(parameters) as camunda:
        if found := camunda.present() + [queue for queue in queues if camunda.state(queue) is not None]:
            raise ForeignQueuesError(vhost, found)
    place = ",".join(f"{host}:{port}" for host, port in settings.endpoints)
    scheme = "amqps" if settings.tls else "amqp"
    try:
        with CamundaSide(parameters) as camunda:
            camunda.declare_topology()
        yield DemoBroker(
            parameters,
            given,
            {},
            f"{scheme}://{settings.username}:{MASK}@{place}/{quote(vhost, safe='')}",
            say(lang, "named_broker", place=place, vhost=vhost),
        )
    finally:
        with CamundaSide(parameters) as camunda:
            camunda.delete_topology(queues)

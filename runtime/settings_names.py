"""Names of environment variables: which belong to a settings class, and which one a misspelt name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from config import NamedSecrets, Shared

# How like a known name an unknown one must be. Whatever stands in `.env` was written for this program; the
# environment belongs to everybody.
_LIKE_IN_FILE = 0.8
_LIKE_IN_ENVIRONMENT = 0.88
_SURELY_LIKE = 0.9
_LIKE_PREFIX = 0.6

# What people write who know other clients of RabbitMQ; the nearest spelling would be the wrong advice.
_SYNONYMS = {
    "RABBITMQ_USER": "RABBITMQ_USERNAME",
    "RABBITMQ_PASS": "RABBITMQ_PASSWORD",
    "RABBITMQ_VHOST": "RABBITMQ_VIRTUAL_HOST",
}

# Of RabbitMQ's own server and images (rabbitmq.com/docs/configure), of Kubernetes and of Camunda's side.
_OTHERS = frozenset(
    {
        "LOGDIR",
        "RABBITMQ_BASE",
        "RABBITMQ_CONFIG_FILE",
        "RABBITMQ_CONFIG_FILES",
        "RABBITMQ_CONF_ENV_FILE",
        "RABBITMQ_DIST_PORT",
        "RABBITMQ_ENABLED_PLUGINS_FILE",
        "RABBITMQ_ERLANG_COOKIE",
        "RABBITMQ_HOME",
        "RABBITMQ_LOG",
        "RABBITMQ_LOGS",
        "RABBITMQ_LOG_BASE",
        "RABBITMQ_NODENAME",
        "RABBITMQ_NODE_IP_ADDRESS",
        "RABBITMQ_NODE_PORT",
        "RABBITMQ_MANAGEMENT_PORT",  # of the tests on a server of one's own
        "RABBITMQ_PID_FILE",
        "RABBITMQ_VERSION",  # of the official image, and of the demo's own server
        "RABBITMQ_TASKS_EXCHANGE_TYPE",
        "RABBITMQ_ALTERNATE_EXCHANGE_TYPE",
        "RABBITMQ_RESPONSES_EXCHANGE_TYPE",
    }
)
_OTHERS_PREFIXES = ("RABBITMQ_SERVICE_", "RABBITMQ_PORT_", "RABBITMQ_DEFAULT_", "RABBITMQ_SERVER_")


def variables_of(settings_class: type[BaseSettings]) -> dict[str, str]:
    """Field -> variable: the class's `env_prefix` and the field's name in capitals, or the `Shared` one.

    Named secrets are left out: their variables have any names.
    """
    prefix = settings_class.model_config.get("env_prefix") or ""
    names = {}
    for field, info in settings_class.model_fields.items():
        if field in named_secrets(settings_class):
            continue
        shared = next((each.variable for each in info.metadata if isinstance(each, Shared)), None)
        names[field] = shared or f"{prefix}{field}".upper()
    return names


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """`A | B` as its parts, anything else as the only one."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def secret_fields(settings_class: type[BaseSettings]) -> frozenset[str]:
    fields = settings_class.model_fields.items()
    return frozenset(name for name, info in fields if SecretStr in alternatives(info.annotation))


def named_secrets(settings_class: type[BaseSettings]) -> dict[str, NamedSecrets]:
    """The fields whose variables are named by other values."""
    fields = settings_class.model_fields.items()
    return {name: mark for name, info in fields for mark in info.metadata if isinstance(mark, NamedSecrets)}


def is_somebody_elses(name: str) -> bool:
    """True for names that other software uses and that look like ours."""
    return name in _OTHERS or name.startswith(_OTHERS_PREFIXES)


def closest_name(name: str, known: Collection[str], *, in_file: bool) -> str | None:
    """The known name that this one was probably meant to be."""
    upper = name.upper()
    if upper in known:
        return upper
    if _SYNONYMS.get(upper) in known:
        return _SYNONYMS[upper]
    cutoff = _LIKE_IN_FILE if in_file else _LIKE_IN_ENVIRONMENT
    for candidate in difflib.get_close_matches(upper, sorted(known), n=3, cutoff=cutoff):
        # SMTP_REQUEST_TIMEOUT is another system's variable, BITRX_REQUEST_TIMEOUT a slip.
        if _likeness(upper, candidate) >= _SURELY_LIKE or _likeness(*map(_prefix, (upper, candidate))) >= _LIKE_PREFIX:
            return candidate
    return None


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _prefix(name: str) -> str:
    return name.partition("_")[0]

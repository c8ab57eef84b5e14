"""Tells genuine hooks from forged ones, and what a genuine one is about: the id of a task, and nothing else of it.

Bitrix24 sends a form with the keys of PHP's arrays, and the token that it showed when the hook was made
(api-reference/tasks/events-tasks/on-task-update.md, local-integrations/local-webhooks.md of b24restdocs). OpenProject
signs its JSON (modules/webhooks/app/workers/represented_webhook_job.rb). Everything is compared always, as digests of
one length, so that the time tells nothing of what was wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from pydantic import SecretStr

from api.hook_settings import HookSettings
from core.errors import InvalidMessageError
from core.strict_json import decode_object
from core.values import as_identifier

SIGNATURE = "x-op-signature"
MOST_FIELDS = 500  # of a form
DEPTH = 64  # of OpenProject's JSON

_UPDATED = "ONTASKUPDATE"  # creations are ours or nobody's; who has deleted a task only a full sweep can tell
_PATHS = (("FIELDS_AFTER", "ID"), ("FIELDS_BEFORE", "ID"))
_WORK_PACKAGE_UPDATED = "work_package:updated"
_DIGITS = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class ForgedError(Exception):
    """It is not from whom it seems to be, or nobody has configured it."""


class MalformedError(Exception):
    """It is genuine, and cannot be read."""


def bitrix24_task(settings: HookSettings, name: str, body: bytes) -> str | None:
    """Return the id of the task; None for an event of no interest. Raises ForgedError, MalformedError."""
    form = _form(body)
    token = form.get("auth[application_token]", "")
    _require_genuine(
        _is_equal(settings.bitrix24_name, name.encode()), _is_equal(settings.bitrix24_token, token.encode())
    )
    if not (event := form.get("event", "")):
        raise MalformedError
    if event.upper() != _UPDATED:
        return None
    for path in _PATHS:
        if _DIGITS.fullmatch(found := form.get("data" + "".join(f"[{part}]" for part in path), "")):
            return found
    raise MalformedError


def openproject_task(settings: HookSettings, name: str, headers: Mapping[str, str], body: bytes) -> str | None:
    """Return the id of the work package; None for an event of no interest. Raises ForgedError, MalformedError."""
    secret = settings.openproject_secret.get_secret_value().encode()
    signature = f"sha1={hmac.new(secret, body, hashlib.sha1).hexdigest()}"
    _require_genuine(
        _is_equal(settings.openproject_name, name.encode()),
        _is_equal(SecretStr(signature if secret else ""), headers.get(SIGNATURE, "").encode()),
    )
    try:
        told = decode_object(body, DEPTH)
    except InvalidMessageError:
        raise MalformedError from None
    if not isinstance(action := told.get("action"), str):
        raise MalformedError
    if action != _WORK_PACKAGE_UPDATED:
        return None
    work_package = told.get("work_package")
    number = as_identifier(work_package.get("id")) if isinstance(work_package, dict) else None
    if number is None:
        raise MalformedError
    return str(number)


def _form(body: bytes) -> dict[str, str]:
    """Return the fields of a form, the last of each name, as PHP does; none when it is no form."""
    try:
        return dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def _require_genuine(*proofs: bool) -> None:
    if not all(proofs):
        raise ForgedError


def _is_equal(secret: SecretStr, given: bytes) -> bool:
    """Whether it is the secret; never for one that is not set. Takes as long for any `given` of one length."""
    expected = secret.get_secret_value().encode()
    is_same = hmac.compare_digest(hashlib.sha256(expected).digest(), hashlib.sha256(given).digest())
    return is_same and bool(expected)

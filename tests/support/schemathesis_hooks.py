"""A key for idempotency is new with each request by its nature; what no key is stays as it was made."""

from __future__ import annotations

import re
import uuid
from typing import Any

import schemathesis

from api.idempotency import HEADER, PATTERN


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    if case.headers and re.fullmatch(PATTERN, str(case.headers.get(HEADER, ""))):
        case.headers[HEADER] = uuid.uuid4().hex

"""Who may do what: bearer tokens, roles, and how often."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.context import Context
from api.problems import Problem
from api.tokens import HOLDER, Holder
from core.texts import Text

_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="a token of API_TOKENS_FILE")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
Guard = Callable[..., Coroutine[Any, Any, "Caller"]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks; `by` is what the log and the journal say of him."""

    holder: Holder
    address: str

    @property
    def by(self) -> str:
        return f"{self.holder.name}@{self.address}"


async def viewer(request: Request, _credentials: _Credentials) -> Caller:
    """Let in who has a token."""
    return _caller(request)


def operator_of(context: Context) -> Guard:
    """Return what lets in an operator, so often a minute. Raises Problem."""

    async def operator(request: Request, _credentials: _Credentials) -> Caller:
        caller = _caller(request)
        if not caller.holder.may_act:
            text = Text("this token may look only", "этот токен только для просмотра")
            raise Problem(403, "operators-only", text)
        context.limiter.count(caller.holder.name)
        return caller

    return operator


def _caller(request: Request) -> Caller:
    holder: Holder = request.scope["state"][HOLDER]
    return Caller(holder, request.client.host if request.client else "?")

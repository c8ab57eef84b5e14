"""HTTP for every outside system: mandatory time-outs, capped bodies, no redirects, outcomes instead of exceptions.

What may be concluded when no answer came is decided by one fact: whether the request's body was handed to the
socket. Before that nothing can have been executed (Outage, or Configuration for an untrusted certificate); after
that a write is Ambiguous, while a read has changed nothing and counts as Outage, so that a portal that hangs for
hours spends nobody's attempts. Nothing is ever sent twice, except a read whose connection was dropped.

What goes wrong is explained by toolkit.http_failures, without the URL; the exceptions of requests are cut off (`from
None`).
"""

from __future__ import annotations

import codecs
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from core.errors import AmbiguousError, ConfigurationError, OutageError
from core.request_figures import Operation, RequestFigures
from core.texts import Text
from toolkit.http_calls import traced_call
from toolkit.http_failures import DroppedError, Failures, may_be_sent, word_of_failure, word_of_status

ITS_CA_FILE = Text("its CA file", "файле её сертификата CA")
DEFAULT_MAX_BODY = 10 * 1024 * 1024  # bytes, after decompression
_READ_CHUNK = 64 * 1024
# Servers close idle connections without a word (Apache after 5 s). Writing into one that is just being closed
# would make a write ambiguous for nothing, so an idle connection is given up before the server does it.
_IDLE_LIMIT = 4.0

Credentials = Callable[[], Mapping[str, str]]  # headers, asked for with each request: a secret may change
Guard = Callable[[], None]  # raises when the request must not be sent any more


def unguarded() -> None:
    """Allow every request."""


def nobody() -> Mapping[str, str]:
    """Return no credentials."""
    return {}


def no_proxy() -> None:
    """Return no proxy of our own: that of the environment is used, if there is one."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete answer: `body` in bytes, `seconds` from sending to the last byte.

    `status` is 200-299 or 400-599, 3xx only where it was asked for.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """Return the decoded body. Raises ValueError when it is no JSON in UTF-8."""
        try:
            return json.loads(self.body.removeprefix(codecs.BOM_UTF8).decode("utf-8"))
        except RecursionError:
            raise ValueError("the answer is nested too deeply") from None

    def json_object(self) -> dict[str, Any] | None:
        """Return the body if it is a JSON object, None for anything else (a page in HTML, a list, broken text)."""
        try:
            body = self.json()
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait (RFC 9110, 10.2.3).

        None when it is absent or a date, which only a clock that is right could use.
        """
        text = str(self.headers.get("Retry-After") or "").strip()
        return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    body: bytes | None
    headers: Mapping[str, str]
    write: bool
    guard: Guard


class HttpClient:
    """One outside system over HTTP; usable from any thread, each has its own keep-alive session.

    All times are in seconds. `read_timeout` bounds one silence of the server, `total_timeout` the whole answer
    (checked at every received piece of the body). `verify` is False, True or the path of a CA bundle, `ca_setting` is
    what people call the setting of that path. `proxy` gives the address of a proxy for all requests (None: that of the
    environment). `redirects_are_answers` hands 3xx on as they are, for a protocol that gives them a meaning; they are
    never followed. Without `keep_cookies` no cookie is sent back, for a server that refuses those which it has
    forgotten. `figures` count what was sent and what came of it.
    """

    def __init__(
        self,
        system: str | Text,
        *,
        connect_timeout: float,
        read_timeout: float,
        total_timeout: float | None = None,
        max_body: int = DEFAULT_MAX_BODY,
        verify: bool | str = True,
        ca_setting: str | Text = ITS_CA_FILE,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials = nobody,
        proxy: Callable[[], str | None] = no_proxy,
        redirects_are_answers: bool = False,
        keep_cookies: bool = True,
    ) -> None:
        self._system = Text.of(system)
        self._failures = Failures(self._system, Text.of(ca_setting))
        self._timeouts = (connect_timeout, read_timeout)
        self._total_timeout = total_timeout or connect_timeout + 2 * read_timeout
        self._max_body = max_body
        self._verify = verify
        self._headers = dict(headers or {})
        self._credentials = credentials
        self._proxy = proxy
        self._redirects_are_answers = redirects_are_answers
        self._keep_cookies = keep_cookies
        self._local = threading.local()
        self.figures = RequestFigures()

    def post_json(self, url: str, payload: Any, *, write: bool, guard: Guard = unguarded) -> HttpAnswer:
        """POST `payload` as JSON; the rest is as in `send`."""
        body = json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return self.send("POST", url, body=body, headers=headers, write=write, guard=guard)

    def send(
        self,
        method: str,
        url: str,
        *,
        write: bool,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        guard: Guard = unguarded,
    ) -> HttpAnswer:
        """Send one request. `write` says whether executing it twice would matter.

        `guard` is asked at the last moment, when the body goes out (a request without a body: before it is begun), and
        may raise to prevent that: the connection may have taken long.

        Raises OutageError (certainly not executed, or only a read), AmbiguousError (a write that may have been
        executed), ConfigurationError (redirect, untrusted certificate, unusable address).
        """
        request = _Request(method, url, body, headers or {}, write, guard)
        try:
            return self._attempt(request)
        except DroppedError as dropped:
            if write:
                raise AmbiguousError(dropped.text, code="connection_dropped") from None
        try:
            return self._attempt(request)
        except DroppedError as dropped:
            raise OutageError(dropped.text, code="connection_dropped") from None

    def close(self) -> None:
        """Close the calling thread's connections."""
        session = getattr(self._local, "session", None)
        if session is not None:
            session.close()

    def _attempt(self, request: _Request) -> HttpAnswer:
        started = time.monotonic()
        operation: Operation = "write" if request.write else "read"
        with traced_call(request.method, request.url) as call:
            try:
                answer = self._exchange(request, started, call.headers)
            except (OutageError, AmbiguousError, ConfigurationError, DroppedError) as failure:
                word = word_of_failure(failure)
                call.fail(word)
                self.figures.note(operation, word, time.monotonic() - started)
                raise
            call.answered(answer.status)
        self.figures.note(operation, word_of_status(answer.status), answer.seconds)
        return answer

    def _exchange(self, request: _Request, started: float, trace: Mapping[str, str]) -> HttpAnswer:
        body, write = request.body, request.write
        upload = _Upload(body or b"", request.guard)
        if body is None:
            request.guard()
        proxy = self._proxy()
        # In the session they would lose against those of the environment.
        proxies = {"http": proxy, "https": proxy} if proxy else {}
        try:
            with self._session().request(
                request.method,
                request.url,
                data=upload if body is not None else None,
                headers={**self._credentials(), **request.headers, **trace},
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
                verify=self._verify,
                proxies=proxies,
            ) as response:
                if not self._redirects_are_answers:
                    self._refuse_redirect(response)
                content = b"".join(self._pieces(response, started + self._total_timeout, write))
                return HttpAnswer(response.status_code, response.headers, content, time.monotonic() - started)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            sent = upload.started if body is not None else may_be_sent(error)
            raise self._failures.outcome(error, sent=sent, write=write) from None
        finally:
            self._local.last_used = time.monotonic()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session()
            session.headers.update(self._headers)
            if not self._keep_cookies:
                session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            session.auth = _keep_headers  # else requests would send credentials that it finds in ~/.netrc
        elif time.monotonic() - self._local.last_used > _IDLE_LIMIT:
            session.close()
        return session

    def _refuse_redirect(self, response: requests.Response) -> None:
        if 300 <= response.status_code < 400:
            target = urlsplit(response.headers.get("Location", ""))
            there = Text("another address", "другой адрес")
            host = Text.of(f"{target.scheme}://{target.netloc}") if target.netloc else there
            text = Text(
                f"{self._system.en} redirects to {host.en} (HTTP {response.status_code}): set that address in the "
                "configuration; requests are not sent on, since a redirected POST may lose its body",
                f"{self._system.ru} перенаправляет на {host.ru} (HTTP {response.status_code}): укажите в настройках "
                "этот адрес; сам воркер по перенаправлениям не ходит: POST при этом может потерять тело",
            )
            raise ConfigurationError(text, code="redirect")

    def _pieces(self, response: requests.Response, deadline: float, write: bool) -> Iterator[bytes]:
        size = 0
        while piece := response.raw.read1(_READ_CHUNK, decode_content=True):
            size += len(piece)
            if size > self._max_body:
                what = Text(f"answered more than {self._max_body} bytes", f"ответ длиннее {self._max_body} байт")
                raise self._failures.unanswered(what, "body_too_large", write)
            if time.monotonic() > deadline:
                what = Text(
                    f"did not finish its answer in {self._total_timeout:g} s",
                    f"за {self._total_timeout:g} с ответ не пришёл целиком",
                )
                raise self._failures.unanswered(what, "timeout", write)
            yield piece


class _Session(requests.Session):
    """A session that looks at no redirect, also not for Response.next.

    Session.send would read the whole body of a redirect first, however long that takes, and raise for a Location that
    is no address, although allow_redirects is false.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class _Upload(io.BytesIO):
    """A request body that remembers whether it was handed to the socket (connect and TLS are over by then)."""

    started = False

    def __init__(self, body: bytes, guard: Guard) -> None:
        super().__init__(body)
        self._guard = guard

    def read(self, _size: int | None = -1, /) -> bytes:
        # All that is left, whatever is asked for: after each piece that http.client sends, this thread would have to
        # wait for the interpreter's lock again.
        if not self.started:
            self._guard()
        self.started = True
        return super().read()


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request

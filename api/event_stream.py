"""The answer that does not end: Server-Sent Events, as https://html.spec.whatwg.org/multipage/server-sent-events.html
wants them."""

from __future__ import annotations

import asyncio

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.models import Answer, Both, both
from api.streams import SLOW, Listener, Streams, Told
from core.texts import Text, escape
from journal.store import StoreError

MEDIA_TYPE = "text/event-stream"
ABORT = "task_creator.abort"  # of the scope's extensions: ends the connection at once, whatever waits to be sent
RETRY = 3000  # milliseconds after which a browser comes again
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the latter for nginx, which would collect it

_HINT = f"retry: {RETRY}\n\n".encode()
_KEEP_ALIVE = b": keep-alive\n"  # no empty line: some clients take that for an event


class Trouble(Answer):
    """The data of `journal-unusable` and of `stream-ended`."""

    reason: Both


def frame(event: str, data: str, id_: int | None = None) -> bytes:
    """Return one event; `data` on one line, as JSON is."""
    head = "" if id_ is None else f"id: {id_}\n"
    return f"{head}event: {escape(event)}\ndata: {data}\n\n".encode()


def told(id_: int, code: str, data: str) -> Told:
    return Told(id_, code, frame(code, data, id_))


def trouble(text: Text) -> bytes:
    return frame("journal-unusable", _reason(text))


class EventStream(Response):
    """What happens, from behind an id on."""

    media_type = MEDIA_TYPE

    def __init__(self, streams: Streams, after: int, code: str | None) -> None:
        # No call of the base's: that would promise a length.
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._streams = streams
        self._after = after
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listener = self._streams.enter(self._after, self._code)
        writing = asyncio.create_task(self._write(listener, send))
        leaving = asyncio.create_task(_gone(receive))
        ending = asyncio.create_task(listener.ended.wait())
        try:
            await asyncio.wait((writing, leaving, ending), return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                await self._part(scope, writing, leaving)
            if writing.done():
                writing.result()
        finally:
            self._streams.leave(listener)
            for task in (writing, leaving, ending):
                task.cancel()
            await asyncio.gather(writing, leaving, ending, return_exceptions=True)

    async def _part(self, scope: Scope, *tasks: asyncio.Task[None]) -> None:
        """Let the client hear the last word, but not for long: it may take nothing."""
        last_word = self._streams.pace.last_word
        done, _ = await asyncio.wait(tasks, timeout=last_word, return_when=asyncio.FIRST_COMPLETED)
        abort = scope.get("extensions", {}).get(ABORT)
        if not done and abort is not None:
            abort()
            await asyncio.wait(tasks, timeout=last_word)

    async def _write(self, listener: Listener, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await self._say(send, _HINT)
            await self._catch_up(listener, send)
            while (said := await self._next(listener)) is not None:
                await self._say(send, said)
        except TimeoutError:
            listener.send_away(SLOW)
        if listener.end is not None:
            said = frame("stream-ended", _reason(listener.end))
            await send({"type": "http.response.body", "body": said, "more_body": False})

    async def _say(self, send: Send, said: bytes) -> None:
        """Raises TimeoutError when the client takes nothing."""
        async with asyncio.timeout(self._streams.pace.patience):
            await send({"type": "http.response.body", "body": said, "more_body": True})

    async def _next(self, listener: Listener) -> bytes | None:
        try:
            return await listener.next(self._streams.pace.keep_alive)
        except TimeoutError:
            return _KEEP_ALIVE

    async def _catch_up(self, listener: Listener, send: Send) -> None:
        """Send what the client has missed, until it hears the same as the others."""
        streams, is_troubled = self._streams, False
        while listener.end is None:
            try:
                async with streams.turns:
                    page = await run_in_threadpool(streams.page, listener.after)
            except StoreError as error:
                if not is_troubled:
                    await self._say(send, streams.trouble(error))
                is_troubled = True
                await asyncio.sleep(streams.pace.poll)
                continue
            is_troubled = False
            for each in page.told:
                if listener.wants(each):
                    await self._say(send, each.frame)
            listener.after = page.after
            if not page.has_more:
                if streams.join(listener):
                    return
                await asyncio.sleep(streams.pace.poll / 10)  # the others have just heard more


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _reason(text: Text) -> str:
    return Trouble(reason=both(text)).model_dump_json()

"""One direction of a proxied connection: bytes wait here until they are due."""

from __future__ import annotations

import socket
import struct
import time
from collections import deque

_CHUNK = 64 * 1024  # bytes
_LIMIT = 1024 * 1024  # bytes held at most; then the sender feels back pressure
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with zero seconds: close() sends RST instead of FIN

_END = b""


class Pipe:
    """From one socket to the other. `finished`: the end of the stream was passed on; `broken`: an end was reset."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        source.setblocking(False)
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.source = source
        self.sink = sink
        self.finished = False
        self.broken = False
        self._ended = False
        self._waiting: deque[tuple[float, bytes | None]] = deque()  # (due, chunk); None stands for a reset
        self._held = 0

    @property
    def wants_more(self) -> bool:
        return not self._ended and self._held < _LIMIT

    @property
    def due(self) -> float | None:
        """When the first waiting chunk may be passed on (time.monotonic), None when nothing waits."""
        return self._waiting[0][0] if self._waiting else None

    def read(self, delay: float) -> None:
        """Takes what the source has; it becomes due `delay` seconds from now."""
        chunk: bytes | None
        try:
            chunk = self.source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = None  # a reset travels like data: behind what was sent before it, and not over a stalled link
        self._ended = not chunk
        self._held += len(chunk or b"")
        self._waiting.append((time.monotonic() + delay, chunk))

    def write(self, byte_time: float = 0.0) -> None:
        """Passes on what is due, as far as the sink takes it; one byte in `byte_time` seconds if that is given.

        A busy machine comes late here: then as many pass as are due by now, or the link would be narrower than asked.
        """
        while self._waiting and self._waiting[0][0] <= (now := time.monotonic()):
            due, chunk = self._waiting.popleft()
            try:
                if chunk is None:
                    self.broken = True
                elif chunk == _END:
                    self.sink.shutdown(socket.SHUT_WR)
                    self.finished = True
                else:
                    sent = self.sink.send(chunk[: 1 + int((now - due) / byte_time)] if byte_time else chunk)
                    self._held -= sent
                    due += sent * byte_time
                    if sent < len(chunk):
                        self._waiting.appendleft((due, chunk[sent:]))
                    elif byte_time and self._waiting:
                        self._waiting[0] = (max(due, self._waiting[0][0]), self._waiting[0][1])
            except BlockingIOError:
                self._waiting.appendleft((due, chunk))
                return
            except OSError:
                self.broken = True
                return


def reset(end: socket.socket) -> None:
    """Closes a socket so that its peer gets "connection reset"."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    end.close()

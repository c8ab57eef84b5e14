"""Keeps the bot inside Telegram's limits, and keeps one busy chat from holding up the others.

A short wait is waited by the caller, by one for each chat and by a part of the threads in all. Otherwise the message is
given back (PartialOutageError: only it waits, nothing is spent), so that there is a thread for other chats.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable

from consumers.telegram.chats import is_group
from consumers.telegram.config import TelegramSettings
from core.errors import OutageError, PartialOutageError
from core.texts import Text

FLOOD = "too_many_requests"
_AT_ONCE = 3.0  # seconds; two chats that are refused within them mean that the bot as a whole is too fast
_LONGEST_BOT_PAUSE = 60.0  # seconds; then another chat is tried, and may tell anew
_LONGEST_SPREAD = 60.0  # seconds over which messages that were given back come again
_REMEMBERED_CHATS = 1000


class Window:
    """At most `limit` events in any `period` seconds. Not thread-safe."""

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._period = period
        self._times: deque[float] = deque(maxlen=limit)

    def wait(self, now: float) -> float:
        """Return the seconds until there is a place."""
        return max(0.0, self._times[0] + self._period - now) if len(self._times) == self._limit else 0.0

    def take(self, at: float) -> None:
        self._times.append(at)

    def is_idle(self, now: float) -> bool:
        return not self._times or self._times[-1] + self._period <= now

    @property
    def spacing(self) -> float:
        return self._period / self._limit


class _Chat:
    def __init__(self, windows: list[Window]) -> None:
        self.windows = windows
        self.paused_until = 0.0
        self.flooded_at = float("-inf")
        self.awaited_until = 0.0  # by a thread
        self.given_back: dict[str, float] = {}  # key of a message -> when it comes again, the oldest first

    def is_idle(self, now: float) -> bool:
        is_open = max(self.paused_until, self.flooded_at + _AT_ONCE) <= now and not self.returning(now)
        return is_open and all(window.is_idle(now) for window in self.windows)

    def returning(self, now: float) -> int:
        """Return how many were given back and are still to come."""
        while self.given_back and next(iter(self.given_back.values())) + _LONGEST_SPREAD < now:
            del self.given_back[next(iter(self.given_back))]  # it has gone another way
        return len(self.given_back)


class Limiter:
    """The limits of one bot, shared by all threads.

    Times are in seconds of `clock` (monotonic), `chance` gives numbers in [0, 1). `most_waiting` threads may wait at
    once.
    """

    def __init__(
        self,
        settings: TelegramSettings,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.most_waiting = 1
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._bot = _window(settings.rate_per_second, 1.0)
        self._bot_paused_until = 0.0
        self._chats: dict[str, _Chat] = {}
        self._lock = threading.Lock()
        self._waits: list[float] = []  # when they end
        self._given_back = 0

    def turn(self, chat: str, patience: float, key: str = "") -> float:
        """Take a place for one message and return the seconds to wait for it, at most `patience`.

        `key` is what the message is recognised by when it comes again.
        Raises PartialOutageError when this message cannot be waited for, OutageError when the whole bot must wait.
        """
        with self._lock:
            now = self._clock()
            known = self._known(chat, now)
            pause = self._bot_paused_until - now
            if pause > patience:
                reason = Text(
                    f"Telegram has refused several chats at once: the bot waits {pause:.0f} s",
                    f"Telegram отказал сразу нескольким чатам: бот ждёт {pause:.0f} с",
                )
                raise OutageError(reason, code=FLOOD, retry_after=pause)
            windows = [self._bot, *known.windows]
            wait = max(0.0, pause, known.paused_until - now, *(window.wait(now) for window in windows))
            if wait > 0 and not (wait <= patience and self._may_be_awaited(known, now)):
                raise self._later(known, chat, key, now, wait)
            if wait > 0:
                known.awaited_until = now + wait
                self._waits.append(known.awaited_until)
            known.given_back.pop(key, None)
            for window in windows:
                window.take(now + wait)
            return wait

    def flooded(self, chat: str, seconds: float) -> None:
        """Note that Telegram refused a message to this chat for so many seconds."""
        with self._lock:
            now = self._clock()
            others = (each for name, each in self._chats.items() if name != chat)
            if any(now - each.flooded_at < _AT_ONCE for each in others):
                self._bot_paused_until = max(self._bot_paused_until, now + min(seconds, _LONGEST_BOT_PAUSE))
            known = self._known(chat, now)
            known.flooded_at = now
            known.paused_until = max(known.paused_until, now + seconds)

    def stats(self) -> dict[str, int]:
        with self._lock:
            return {"given_back": self._given_back}

    def _may_be_awaited(self, known: _Chat, now: float) -> bool:
        self._waits = [end for end in self._waits if end > now]
        return known.awaited_until <= now and len(self._waits) < self.most_waiting

    def _later(self, known: _Chat, chat: str, key: str, now: float, wait: float) -> PartialOutageError:
        self._given_back += 1
        known.given_back.pop(key, None)
        # Not all at the same moment: they would find one place and be given back again.
        spread = min(known.returning(now) * max(window.spacing for window in known.windows), _LONGEST_SPREAD)
        retry_after = wait + spread * self._chance()
        known.given_back[key] = now + retry_after
        reason = Text(
            f"The chat {chat} has had as many messages as Telegram allows; this one waits",
            f"Чат {chat} получил столько сообщений, сколько разрешает Telegram; это сообщение ждёт",
        )
        return PartialOutageError(reason, code=FLOOD, retry_after=retry_after)

    def _known(self, chat: str, now: float) -> _Chat:
        found = self._chats.get(chat)
        if found is None:
            if len(self._chats) >= _REMEMBERED_CHATS:
                self._chats = {name: each for name, each in self._chats.items() if not each.is_idle(now)}
            found = self._chats[chat] = _Chat(self._windows(chat))
        return found

    def _windows(self, chat: str) -> list[Window]:
        settings = self._settings
        windows = [Window(settings.chat_burst, settings.chat_burst / settings.chat_rate_per_second)]
        if is_group(chat):
            windows.append(_window(settings.group_rate_per_minute, 60.0))
        return windows


def _window(rate: float, period: float) -> Window:
    """Return a window of `rate` in `period` seconds; less than one is one in a longer period."""
    limit = max(1, int(rate))
    return Window(limit, period * limit / rate)

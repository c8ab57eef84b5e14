"""Makes one connection out of several hosts and addresses, without ever blocking the I/O loop: who answers first wins.

Each way to the broker is tried by a connection of its own, one after the other with a short lead; a try that fails lets
the next one start at once. Names are resolved in threads. Every try is bounded, whatever hangs in it: the name server,
TCP, TLS or the broker's handshake. The losers are closed.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any

import pika
from pika.exceptions import AMQPConnectionError

from broker.frames import FramedConnection
from broker.gathered_writes import GatheredWrites
from broker.nodes import at_address, limit_of
from broker.resolving import Resolver
from broker.turns import TurnLoop
from broker.unreachable import explain
from settings.values import is_address

log = logging.getLogger(__name__)

LEAD = 1.0  # seconds; a broker that asks a directory for the password may need half of that


class Race:
    """A race for one I/O loop and one result. All in the I/O thread.

    `on_won(connection, parameters)` or `on_failed(error)` is called, once; `on_lost(connection, reason)` when the
    winner ends. `on_failed(None)`: the race was given up.
    """

    def __init__(
        self,
        ioloop: TurnLoop,
        resolver: Resolver,
        *,
        on_won: Callable[[pika.SelectConnection, pika.ConnectionParameters], None],
        on_lost: Callable[[pika.SelectConnection, BaseException], None],
        on_failed: Callable[[Exception | None], None],
    ) -> None:
        self.ioloop = ioloop
        self.resolver = resolver
        self.on_lost = on_lost
        self._on_won = on_won
        self._on_failed = on_failed
        self._waiting: deque[Callable[[], None]] = deque()  # ways that are not tried yet
        self._running: set[_Try] = set()
        self._reasons: list[str] = []
        self._lead: Any = None  # the timer of the next start
        self._is_over = False  # nothing more is started
        self._is_given_up = False
        self._is_told = False
        self._winner: _Handshake | None = None

    def start(self, hosts: Iterable[pika.ConnectionParameters]) -> None:
        self._waiting.extend(partial(self._try_host, each) for each in hosts)
        self._start_next()

    def give_up(self) -> None:
        """End the race; `on_failed` is called as soon as nothing is open any more."""
        self._is_given_up = True
        self._end("not wanted any more")
        self._look_for_failure()

    def abort(self, reason: OSError) -> None:
        """End the winner's connection as if the network had: for a broker that does not answer to its closing."""
        if self._winner is not None:
            self._winner.abort(reason)

    # -- told by the tries ------------------------------------------------------------------------------------------

    def resolved(self, resolving: _Try, parameters: pika.ConnectionParameters, addresses: list[str]) -> None:
        self._running.discard(resolving)
        # Before what was waiting: the host keeps its place in the order.
        self._waiting.extendleft(partial(self._try_address, parameters, each) for each in reversed(addresses))
        self._start_next()

    def failed(self, attempt: _Try, reason: str) -> None:
        self._running.discard(attempt)
        self._reasons.append(reason)
        self._start_next()

    def won(self, attempt: _Handshake, parameters: pika.ConnectionParameters) -> bool:
        """Return whether this attempt wins: False when another one was quicker."""
        if self._is_over:
            return False
        self._is_told = True
        self._winner = attempt
        self._running.discard(attempt)
        self._end("another host was quicker")
        self._on_won(attempt.connection, parameters)
        return True

    # ---------------------------------------------------------------------------------------------------------------

    def _start_next(self) -> None:
        self._stop_lead()
        if self._waiting and not self._is_over:
            self._waiting.popleft()()
            self._lead = self.ioloop.call_later(LEAD, self._start_next)
        self._look_for_failure()

    def _stop_lead(self) -> None:
        if self._lead is not None:
            self.ioloop.remove_timeout(self._lead)
            self._lead = None

    def _try_host(self, parameters: pika.ConnectionParameters) -> None:
        if is_address(parameters.host):
            self._try_address(parameters, parameters.host)
        else:
            self._running.add(_Resolving(self, parameters))

    def _try_address(self, parameters: pika.ConnectionParameters, address: str) -> None:
        self._running.add(_Handshake(self, parameters, address))

    def _end(self, reason: str) -> None:
        self._is_over = True
        self._stop_lead()
        self._waiting.clear()
        for each in list(self._running):
            each.give_up(reason)

    def _look_for_failure(self) -> None:
        if not (self._is_told or self._running or self._waiting):
            self._is_told = self._is_over = True
            self._stop_lead()
            reasons = "; ".join(self._reasons) or "no RabbitMQ host is configured"
            self._on_failed(None if self._is_given_up else AMQPConnectionError(reasons))


class _Try:
    """Something that is under way for one host, for a bounded time. It reports its end to the race."""

    def __init__(self, race: Race, parameters: pika.ConnectionParameters, name: str) -> None:
        self._race = race
        self._parameters = parameters
        self._name = name
        limit = limit_of(parameters)
        too_late = partial(self.give_up, f"did not answer within {limit:g} s")
        self._timer = race.ioloop.call_later(limit, too_late)

    def give_up(self, reason: str) -> None:
        raise NotImplementedError

    def _stop_timer(self) -> None:
        self._race.ioloop.remove_timeout(self._timer)


class _Resolving(_Try):
    def __init__(self, race: Race, parameters: pika.ConnectionParameters) -> None:
        super().__init__(race, parameters, parameters.host)
        self._is_over = False
        race.resolver.resolve(parameters.host, parameters.port).add_done_callback(self._on_answer)

    def _on_answer(self, found: Future[list[str]]) -> None:
        # In the resolver's thread. After the loop's end this is one more callback that nobody calls.
        self._race.ioloop.add_callback_threadsafe(partial(self._on_found, found))

    def _on_found(self, found: Future[list[str]]) -> None:
        if self._is_over:
            return
        if (error := found.exception()) is not None:
            self.give_up(explain(error).en)
            return
        self._is_over = True
        self._stop_timer()
        self._race.resolved(self, self._parameters, found.result())

    def give_up(self, reason: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._stop_timer()
            self._race.failed(self, f"{self._name}: {reason}")


class _Handshake(_Try):
    """The handshake of TCP, TLS and AMQP with one address."""

    def __init__(self, race: Race, parameters: pika.ConnectionParameters, address: str) -> None:
        shown = parameters.host if address == parameters.host else f"{parameters.host} ({address})"
        super().__init__(race, parameters, f"{shown}, port {parameters.port}")
        own = at_address(parameters, address)
        self._given_up = ""
        self._is_winner = False
        self._services = GatheredWrites(race.ioloop)
        self.connection = FramedConnection(
            own,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_open_error,
            on_close_callback=self._on_close,
            custom_ioloop=self._services,
        )

    def give_up(self, reason: str) -> None:
        if self._given_up:
            return
        self._given_up = reason
        # pika 1.4.4 cannot close a connection in the middle of AMQP's handshake: its workflow then raises an
        # AssertionError into the I/O loop. So the network seems to end it there; before, pika can do it.
        if not self._services.abort(ConnectionAbortedError(reason)):
            self.connection.close()

    def abort(self, reason: OSError) -> None:
        self._services.abort(reason)

    def _on_open(self, connection: pika.SelectConnection) -> None:
        self._stop_timer()
        self._is_winner = self._race.won(self, self._parameters)
        if not self._is_winner and connection.is_open:
            connection.close()

    def _on_open_error(self, _connection: pika.SelectConnection, error: BaseException) -> None:
        self._stop_timer()
        self._race.failed(self, f"{self._name}: {self._given_up or explain(error).en}")

    def _on_close(self, connection: pika.SelectConnection, reason: BaseException) -> None:
        if self._is_winner:
            self._race.on_lost(connection, reason)
        else:
            self._race.failed(self, f"{self._name}: not needed")

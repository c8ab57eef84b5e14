"""Deliveries on their way to the threads of a queue: none stays in the hands of a thread that waits for more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from broker.deliveries import Delivery
from broker.properties import ReceivedProperties
from processing.intake import LINGER, Intake
from testbench.harness import wait_until


def delivery(tag: int) -> Delivery:
    return Delivery("bitrix24.queue", 1, tag, False, ReceivedProperties(), b"")


class Threads:
    """Threads that take over and over again, and what they have got."""

    def __init__(self, *takes: Callable[[], list[Delivery]]) -> None:
        self.taken: list[int] = []
        self._is_over = False
        self._threads = [threading.Thread(target=self._run, args=(take,), daemon=True) for take in takes]

    def _run(self, take: Callable[[], list[Delivery]]) -> None:
        while not self._is_over:
            self.taken += [each.tag for each in take()]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self, intake: Intake) -> None:
        self._is_over = True
        while any(thread.is_alive() for thread in self._threads):
            intake.wake()
            time.sleep(LINGER)


def test_the_end_of_a_burst_is_not_waited_for_when_another_thread_is_quicker() -> None:
    # Python's SimpleQueue waits without an end when the rest was taken by others just as the time ran out.
    intake = Intake()
    threads = Threads(lambda: intake.next(10), lambda: intake.next(10), lambda: intake.at_hand(1))
    threads.start()
    sent = 0
    try:
        for _ in range(20):
            for _ in range(20):
                intake.put(delivery(sent))
                sent += 1
                time.sleep(LINGER / 2 if sent % 2 else LINGER)
            wait_until(lambda: len(threads.taken) == sent, what=f"the last of {sent} deliveries")  # noqa: B023
    finally:
        threads.end(intake)
    assert sorted(threads.taken) == list(range(sent))


def test_a_burst_comes_together_and_no_larger_than_is_wanted() -> None:
    intake = Intake()
    for tag in range(7):
        intake.put(delivery(tag))
    assert [each.tag for each in intake.next(1)] == [0]
    assert [each.tag for each in intake.next(4)] == [1, 2, 3, 4]
    assert [each.tag for each in intake.at_hand(4)] == [5, 6]
    assert intake.at_hand(4) == []


def test_what_is_forgotten_comes_to_nobody_and_a_stopping_thread_is_still_woken() -> None:
    intake = Intake()
    intake.put(delivery(1))
    intake.wake()
    intake.put(delivery(2))
    intake.forget()
    assert [each.tag for each in intake.next(1)] == [2], "what came after the word to stop is another channel's"
    assert intake.next(10) == []

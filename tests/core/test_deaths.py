"""Who kills the worker, by its deaths alone: found out when alone and among others, innocents as seldom as possible."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from core.deaths import Key, Suspect, convict, is_killer, record

A, B, C, D = (name.encode() for name in "abcd")


def after(*in_hand: Sequence[Key]) -> dict[Key, Suspect]:
    suspects: dict[Key, Suspect] = {}
    for number, keys in enumerate(in_hand):
        record(suspects, f"death-{number}", keys, float(number))
    return suspects


@pytest.mark.parametrize(
    ("deaths", "guilty"),
    [
        ([[A], [A]], set()),
        ([[A], [A], [A]], {A}),
        ([[A, B, C], [A, B], [A]], {A}),
        # The worker dies without it, too: something else kills it.
        ([[A], [A], [], [A]], set()),
        ([[A], [A], [], [A], [A]], {A}),
        ([[A, B], [A], [B], [A]], set()),
        ([[A], [], [A], [], [A], [A]], set()),
        # But whoever is in hand again and again is found out in the end, however often others kill.
        ([[A], [], [A], [], [A], [], [A], [], [A]], {A}),
        # What died before it was ever in hand says nothing.
        ([[], [], [], [A], [A], [A]], {A}),
        # An alibi by somebody as suspicious is none: of two killers one was in hand each time.
        ([[A, B], [A], [B], [A], [B]], {A, B}),
    ],
)
def test_deaths_in_hand_accuse_and_deaths_without_excuse(deaths: list[list[Key]], guilty: set[Key]) -> None:
    suspects = after(*deaths)
    assert {key for key in suspects if is_killer(suspects, key)} == guilty


def test_a_death_that_a_convicted_message_explains_excuses_nobody() -> None:
    suspects = after([A, B], [A], [A], [B])
    convict(suspects, [A])
    assert list(suspects) == [B]
    record(suspects, "one more", [B], 9.0)
    assert is_killer(suspects, B)


def test_what_is_not_known_is_no_killer() -> None:
    assert not is_killer({}, A)

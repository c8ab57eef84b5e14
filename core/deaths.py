"""Finds the message that kills the worker: what its deaths say of each one that was in hand at one of them. Pure.

Somebody who kills the worker again and again from outside makes innocents look guilty: what takes long is in hand each
time. But then the worker also dies while they are not in hand: a suspect is not tried a third time before the worker
has lived without it for a while. Such a death speaks for a suspect, unless somebody at least as suspicious was in hand
at it, or a message that has been convicted since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

START_LIMIT = 3  # deaths with a message in hand after which it is set aside
MOST_ALIBIS = 2  # deaths without it that put this off, by one each: a killer is found out however often others kill
_REMEMBERED_ALIBIS = 16

Key = bytes


@dataclass(slots=True)
class Suspect:
    """A message that was in hand when a worker died.

    `inside`: deaths that it was in hand at; `outside`: later ones that it was not. `at`: the last of `inside`, unix
    seconds.
    """

    inside: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    at: float = 0.0

    @property
    def starts(self) -> int:
        return len(self.inside)


def record(suspects: dict[Key, Suspect], death: str, in_hand: Collection[Key], at: float) -> None:
    """Add one more death of a worker."""
    for key, suspect in suspects.items():
        if key not in in_hand:
            suspect.outside = [*suspect.outside, death][-_REMEMBERED_ALIBIS:]
    for key in in_hand:
        suspect = suspects.setdefault(key, Suspect())
        suspect.inside.append(death)
        suspect.at = at


def is_killer(suspects: Mapping[Key, Suspect], key: Key) -> bool:
    suspect = suspects.get(key)
    if suspect is None or suspect.starts < START_LIMIT:
        return False
    as_suspicious = [each for each in suspects.values() if each is not suspect and each.starts >= suspect.starts]
    explained = {death for each in as_suspicious for death in each.inside}
    alibis = sum(death not in explained for death in suspect.outside)
    return suspect.starts >= START_LIMIT + min(alibis, MOST_ALIBIS)


def convict(suspects: dict[Key, Suspect], keys: Iterable[Key]) -> None:
    """Remove the messages that are set aside. The deaths that they were in hand at no longer speak for anyone else."""
    explained = {death for key in keys if (found := suspects.pop(key, None)) is not None for death in found.inside}
    for suspect in suspects.values():
        suspect.outside = [death for death in suspect.outside if death not in explained]

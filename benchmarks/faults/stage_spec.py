"""On what a row is played: the load, the system, and the kind of stage, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from benchmarks.faults.account import Published

AT_MOST_ONCE = "at most once"  # the promise of a row whose worker tells people of doubts and repeats nothing

MakeTask = Callable[[int], Published]


@dataclass(frozen=True, slots=True)
class StageSpec:
    """What a stage is built for; `name` is the row's."""

    name: str
    _: KW_ONLY
    system: str = "bitrix24"  # one of benchmarks.faults.systems
    promise: str | None = None  # how often a task is made; None: as the system promises
    patience: float = 90.0  # seconds after the last heal in which everything must have ended
    # -- load
    tasks: int = 300
    make_task: MakeTask | None = None  # None: everyday tasks of the system
    copies: int = 1  # how often each is published
    latency: float = 0.05  # seconds that the system takes for a request
    people_after: float | None = 0.4  # seconds after which a person finishes a task; None: `stage.let_people_work()`
    spread: float = 1.0  # seconds over which one round's tasks are published
    through_exchange: bool = True
    # -- stage
    settings: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    kill_at: str | None = None  # a point of benchmarks.faults.killpoints, for a worker that was armed
    kill_within: int = 10  # … at a random one of so many passages
    poison: str | None = None  # a word in a title that makes the handler end the process
    quorum: bool = False
    quorum_by_default: bool = False  # on 4.x the virtual host makes quorum queues of what has no type
    proxied: bool = False  # the workers reach the broker through `stage.proxy`
    node_config: Mapping[str, str] = field(default_factory=dict)  # an own node with these lines of rabbitmq.conf
    portal: Mapping[str, Any] = field(default_factory=dict)  # further arguments of the system's sandbox
    ambiguous_wait: float | None = None  # seconds after a request without an answer; None: as short as usual
    chunk: int | None = None  # tasks that a tracker asks about at once; None: as many as it does
    impatient: bool = False  # the worker waits a second for an answer of the system
    aside: tuple[str, ...] = ()  # queues of the row's own, which `check` looks at and the account does not
    slow: bool = False  # a request may take 6.5 s, a tenth of the default
    hung_host_first: bool = False  # the first of the workers' two hosts takes connections and says nothing
    own_user: bool = False  # the workers have a RabbitMQ user of their own, its password in a file
    nameless: bool = False  # the workers can resolve no name within `stage.names_lost`
    skewed: bool = False  # the workers' wall clock is wrong by what `stage.set_clock_error` says

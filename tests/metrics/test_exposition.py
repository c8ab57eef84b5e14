"""What Prometheus reads: complete from the start, with no other names and labels than the manual has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import prometheus_client
import pytest

from assembly.worker import Worker
from core.outcomes import OUTCOMES, Outcome
from metrics import messages, publishing, systems, tracking
from metrics.catalogue import METRICS
from metrics.error_codes import CODES, OTHER, combinations
from metrics.exposition import CONTENT_TYPE, exposition
from metrics.metric import QUEUE, SYSTEM, Metric
from metrics.queues import METRICS as OF_QUEUES
from metrics.queues import AskQueues, QueueFigures, QueueLooks
from sandbox.process import ROOT
from sandbox.prometheus import Promtool
from tests.metrics.conftest import UNUSED, USED
from tests.support import documents
from tests.support.figures import Figures

HTTP = {"bitrix24", "openproject", "1c", "python-services", "default"}
QUEUES: AskQueues = lambda: {  # noqa: E731 - what somebody tells
    "bitrix24.queue": QueueFigures(ready=3, unacked=1, consumers=1, oldest=12.5),
    "1c.queue": QueueFigures(ready=0),
}


def told(queues: AskQueues | None) -> Figures:
    return Figures(exposition([QueueLooks(queues)]))


@pytest.fixture
def figures(worker: Worker) -> Figures:
    return Figures(worker.metrics.exposition())


def plain(name: str) -> str:
    """As the library names a family in what it has read."""
    return name.removesuffix("_total")


def label_sets(figures: Figures, metric: Metric) -> list[dict[str, str]]:
    name = f"{metric.name}_count" if metric.kind == "histogram" else metric.name
    return figures.label_sets(name)


def test_every_metric_of_the_list_is_there_with_its_type_and_its_meaning(figures: Figures) -> None:
    families = {**figures.families, **told(QUEUES).families}
    shown = {
        metric.name: (families[plain(metric.name)].type, families[plain(metric.name)].documentation)
        for metric in METRICS
    }
    assert shown == {metric.name: (metric.kind, metric.meaning.en) for metric in METRICS}


def test_there_is_no_metric_that_the_list_does_not_have_but_those_of_the_process(figures: Figures) -> None:
    others = figures.families.keys() - {plain(metric.name) for metric in METRICS}
    assert {name for name in others if not name.startswith(("process_", "python_"))} == set()
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "python_gc_collections", "python_info"} <= others


@pytest.mark.parametrize(
    "metric", [metric for metric in METRICS if metric not in OF_QUEUES], ids=lambda each: each.name
)
def test_all_series_of_the_systems_in_use_are_there_before_the_first_message(figures: Figures, metric: Metric) -> None:
    shown = label_sets(figures, metric)
    if any(not label.values and label not in (SYSTEM, QUEUE) for label in metric.labels):
        assert len(shown) == 1, "what is known of the program itself"
        return
    values = [label.values for label in metric.labels if label not in (SYSTEM, QUEUE)]
    expected: Sequence[tuple[str, ...]] = list(product(*values))
    if metric is messages.ERRORS:
        expected = list(combinations("create", "track", "respond"))
    heads: list[tuple[str, ...]] = [()]
    if SYSTEM in metric.labels:
        of_http = metric in (systems.REQUESTS, systems.REQUEST_DURATION, systems.THROTTLED)
        names = [name for name in USED if name in HTTP] if of_http else [*USED]
        heads = [(name,) for name in ([*names, UNUSED] if metric is systems.STATE else names)]
    elif QUEUE in metric.labels:
        own = [f"{name}.{kind}" for name in USED for kind in ("queue", "queue.retry", "sent.queue")]
        heads = [(name,) for name in (*own, "camunda.responses.queue", "errors.camunda_tasks.queue", publishing.OTHER)]
    wanted = {(*head, *rest) for head in heads for rest in expected}
    names_of_labels = [label.name for label in metric.labels]
    assert {tuple(labels[name] for name in names_of_labels) for labels in shown} == wanted


def test_everything_begins_with_zero(figures: Figures) -> None:
    counted = {
        (name, labels): value
        for metric in METRICS
        if metric.kind != "gauge"
        for (name, labels), value in figures.samples.items()
        if name.startswith(metric.name) and value
    }
    assert counted == {}
    assert figures.total("task_creator_system_state", state="ok") == len(USED)
    assert figures.value("task_creator_system_state", system=UNUSED, state="unconfigured") == 1
    assert figures.total("task_creator_system_state") == len(USED) + 1, "one state each"
    assert figures.value("task_creator_ready") == 0
    assert figures.value("task_creator_success_queue_ratio") == 1
    assert figures.value("task_creator_config_last_reload_successful") == 1


def test_a_tracker_that_never_comes_through_grows_stale_from_the_start(figures: Figures) -> None:
    started = figures.value("task_creator_up_since_timestamp_seconds")
    for system in USED:
        assert figures.value(tracking.LAST_SUCCESS.name, system=system) == started
        assert figures.value(tracking.INTERVAL.name, system=system) == 0.5


@pytest.mark.parametrize("queues", [None, QUEUES])
def test_what_nobody_tells_is_left_out(queues: AskQueues | None) -> None:
    names = told(queues).families.keys()
    assert ("task_creator_queue_messages" in names) == (queues is not None)
    assert ("task_creator_queue_oldest_message_age_seconds" in names) == (queues is not None)


def test_what_somebody_tells_is_shown_as_far_as_it_is_known() -> None:
    figures = told(QUEUES)
    assert figures.value("task_creator_queue_messages", queue="bitrix24.queue", kind="ready") == 3
    assert figures.value("task_creator_queue_messages", queue="bitrix24.queue", kind="unacked") == 1
    assert figures.label_sets("task_creator_queue_messages")[-1] == {"queue": "1c.queue", "kind": "ready"}
    assert figures.told("task_creator_queue_oldest_message_age_seconds", "queue") == {"bitrix24.queue": 12.5}


def test_nothing_is_registered_for_the_whole_process(worker: Worker) -> None:
    assert worker.metrics.exposition()
    assert b"task_creator" not in prometheus_client.generate_latest()
    assert CONTENT_TYPE.startswith("text/plain")


def test_promtool_finds_no_fault_in_it(worker: Worker, judge: Promtool) -> None:
    judgement = judge.check_metrics(worker.metrics.exposition())
    assert judgement.is_good, judgement.text


@pytest.mark.parametrize("bad", [b"# TYPE messages counter\nmessages 1\n", b"task_creator_ready{ 1\n"])
def test_promtool_would_find_one(judge: Promtool, bad: bytes) -> None:
    assert not judge.check_metrics(bad).is_good


# -- the words


def test_every_outcome_that_fails_a_message_has_its_class() -> None:
    failing = {outcome for outcome in OUTCOMES if outcome not in (Outcome.ACCEPTED, Outcome.DONE, Outcome.LOST)}
    assert {outcome for stage, outcome in CODES if stage == "create"} == failing, "of a lost one nothing is told"


def test_every_code_that_is_counted_by_itself_is_one_that_the_program_gives() -> None:
    sources = "".join((ROOT / path).read_text() for path in documents.project_files() if _is_program(path))
    of_http = {f"http_{status}" for status in range(400, 600)}
    codes = {code for of_stage in CODES.values() for code in of_stage}
    assert {code for code in codes - of_http if f'"{code}"' not in sources} == set()
    assert OTHER not in codes


def _is_program(path: Path) -> bool:
    return path.suffix == ".py" and path.parts[0] in {
        "core",
        "consumers",
        "toolkit",
        "processing",
        "message_processor.py",
    }

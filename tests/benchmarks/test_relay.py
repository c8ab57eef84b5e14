"""The relay benchmark sees what it must see: it would be worth nothing if a liar could win."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.relay import report
from benchmarks.relay.__main__ import main
from benchmarks.relay.contest import Score, Shape, TurnFailedError, turn
from benchmarks.relay.contestants import BARE_PIKA, OURS, Command, Contestant, contestants, rival
from benchmarks.relay.handler import NoOpHandler
from benchmarks.relay.messages import for_celery, for_dramatiq, task, task_id
from benchmarks.relay.rivals.common import result_of
from core.envelopes import encode_sent
from core.messages import IncomingMessage, Limits, decode_task
from core.results import Accepted
from sandbox.address import BrokerAddress

PYTHON = Path(sys.executable)
SHAPE = Shape("a few", messages=4000, queues=2)

LIAR = """
import sys, pika
from benchmarks.relay.rivals.common import Job, result_of, sent_queue
job = Job.given()
channel = pika.BlockingConnection(pika.URLParameters(job.url)).channel()
for queue in job.queues:
    for method, _, body in channel.consume(queue, inactivity_timeout=1):
        if method is None:
            break
        result, properties = result_of(body, queue)
        copies = 0 if b"000000000004" in body else 2 if b"000000000006" in body else 1
        for _ in range(copies):
            channel.basic_publish("", sent_queue(queue), result, pika.BasicProperties(**properties))
        if b"000000000008" not in body:
            channel.basic_ack(method.delivery_tag)
    channel.cancel()
"""


def test_a_contestant_that_does_not_exist_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "task-creator"])
    assert "task-creator" in (told := capsys.readouterr().err)
    assert OURS in told


def test_ours_and_bare_pika_relay_everything_once(vhost: BrokerAddress, tmp_path: Path) -> None:
    for name in (OURS, BARE_PIKA):
        [contestant] = [each for each in contestants(PYTHON) if each.name == name]
        folder = tmp_path / name
        folder.mkdir()
        score = turn(contestant, SHAPE, vhost, folder, prefetch=50)
        assert (score.lost, score.twice) == (0, 0)
        assert score.left == 0 or name == BARE_PIKA  # it is ended as soon as the last result is there, ack or not
        assert score.rate > 0
        assert score.memory > 0


def test_rivals_store_the_message_that_the_daemon_stores() -> None:
    body = task(7, 1024)
    [(_, outcome)] = NoOpHandler().handle_batch([IncomingMessage(decode_task(body, Limits()), "relay-0.queue")])
    assert isinstance(outcome, Accepted)
    ours = encode_sent(decode_task(body, Limits()), "relay-0.queue", outcome, now=0.0)
    result, properties = result_of(body, "relay-0.queue")
    assert {**json.loads(result), "processed_at": 0.0} == json.loads(ours.body)
    assert properties["headers"] == ours.headers
    assert properties["message_id"] == ours.message_id
    assert properties["content_type"] == ours.content_type
    assert properties["content_encoding"] == ours.content_encoding


def test_a_liar_is_caught(vhost: BrokerAddress, tmp_path: Path) -> None:
    script = tmp_path / "liar.py"
    script.write_text(LIAR)

    def start(folder: Path, broker: BrokerAddress, queues: Sequence[str], prefetch: int) -> Command:
        command = rival(PYTHON, "unused")(folder, broker, queues, prefetch)
        return Command([PYTHON, script], command.environment)

    score = turn(Contestant("liar", start), SHAPE, vhost, tmp_path, prefetch=1)
    assert (score.lost, score.twice, score.left) == (1, 1, 1)


def test_a_contestant_that_dies_ends_the_turn_with_its_last_words(vhost: BrokerAddress, tmp_path: Path) -> None:
    def start(*_: object) -> Command:
        return Command([PYTHON, "-c", "raise SystemExit('no licence')"], {})

    with pytest.raises(TurnFailedError, match="no licence"):
        turn(Contestant("dead", start), SHAPE, vhost, tmp_path, prefetch=1)


def test_a_target_that_is_missed_is_said() -> None:
    def score(rate: float, lost: int = 0) -> Score:
        return Score(rate, cpu=0.1, memory=1, lost=lost, twice=0, left=0)

    ours, theirs = [score(69.0, 1), score(500.0)], [score(100.0), score(1000.0)]
    scores = {OURS: ours, BARE_PIKA: theirs, "kombu": [score(5.0, 1)] * 2}
    texts = {verdict.text: verdict.kept for verdict in report.verdicts({"1 KB": (SHAPE, scores)})}
    assert texts == {
        f"1 KB: 1 messages lost, doubled or left unacked by {OURS}": False,
        "1 KB: 0.59 × bare pika, wanted at least 0.7": False,
        "1 KB: 56.9 × the fastest framework, kombu": True,
        "1 KB: 100% of the CPU per message of the thriftiest framework, kombu": False,
    }


def test_tasks_have_the_size_that_is_asked_for_and_travel_unchanged_in_foreign_envelopes() -> None:
    for size in (600, 1023, 1024, 100 * 1024):
        body = task(7, size)
        assert len(body) == size
        for envelope in (for_celery, for_dramatiq):
            assert body in envelope(task_id(7), body, "relay-0.queue").body

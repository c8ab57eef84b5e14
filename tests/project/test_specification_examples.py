"""The handlers that the specification shows to authors of new systems work as they stand there.

tests/support/data/specification_examples.md is that chapter of the specification, word for word.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.process import ROOT
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon
from testbench.harness import ERRORS, camunda_message, wait_until
from tests.support.places import DATA

EXAMPLES = DATA / "specification_examples.md"
SPECIFICATION = ROOT.parent / "shared" / "specification.ru.md"
CHAPTER = "### Пример обработчика"

# What the author of the first example has beside it: a client of his own system.
NEW_SYSTEM_API = """
def create_task(message_data):
    if message_data["task_id"].startswith("refused"):
        return None
    return {"result": {"task": {"id": "77", "title": message_data["topic"]}}, "success": True}
"""
# The second example says True to everything; this is the same handler with the other answer.
UNSURE_HANDLER = """
from newsystem_handlers import SimpleHandler

class UnsureHandler(SimpleHandler):
    def process_message(self, message_data, properties):
        super().process_message(message_data, properties)
        return False
"""
QUEUE_HANDLERS = {
    "newsystem.queue": {"module": "newsystem_handlers", "handler_class": "NewSystemHandler"},
    "simple.queue": {"module": "newsystem_handlers", "handler_class": "SimpleHandler"},
    "unsure.queue": {"module": "unsure_handler", "handler_class": "UnsureHandler"},
}


def code_blocks(markdown: str) -> list[str]:
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```$", markdown, flags=re.MULTILINE | re.DOTALL)
    return blocks


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The author's folder on PYTHONPATH, his handlers in QUEUE_HANDLERS."""
    folder = tmp_path / "author"
    folder.mkdir()
    new_system, simple = code_blocks(EXAMPLES.read_text(encoding="utf-8"))
    (folder / "newsystem_handlers.py").write_text(f"import new_system_api\n{new_system}\n\n{simple}", encoding="utf-8")
    (folder / "new_system_api.py").write_text(NEW_SYSTEM_API)
    (folder / "unsure_handler.py").write_text(UNSURE_HANDLER)
    return {
        "PYTHONPATH": str(folder),
        "QUEUE_HANDLERS": json.dumps(QUEUE_HANDLERS),
        "RETRY_ATTEMPTS": "2",
        "RETRY_DELAY": "0.1",
    }


def publish(broker: Broker, queue: str, task_id: str) -> bytes:
    message = camunda_message(task_id, topic="new_task", system=queue.removesuffix(".queue"))
    broker.declare(queue)
    broker.publish(queue, message)
    return message


def test_both_examples_do_their_work_in_the_daemon(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, variables: dict[str, str], tmp_path: Path
) -> None:
    original = publish(broker, "newsystem.queue", "task-1")
    publish(broker, "simple.queue", "task-2")
    with Daemon(vhost, tmp_path / "daemon", variables) as daemon:
        broker.wait_for_count("newsystem.sent.queue", 1)
        wait_until(lambda: node.list_queues(vhost.vhost)["simple.queue"] == 0, what="the second example's ack")
        assert daemon.stop() == 0

    [(properties, body)] = broker.get_all("newsystem.sent.queue")
    sent = json.loads(body)
    assert sent.pop("processed_at") > 0
    assert sent == {
        "timestamp": 1795416779220,
        "original_queue": "newsystem.queue",
        "original_message": json.loads(original),
        "response_data": {"result": {"task": {"id": "77", "title": "new_task"}}, "success": True},
        "processing_status": "success",
    }
    assert original in body
    assert properties.delivery_mode == 2
    assert broker.count("newsystem.queue") == 0
    assert broker.count("simple.sent.queue") == 0, "the second kind stores no result"
    assert broker.count(ERRORS) == 0


@pytest.mark.parametrize("queue", ["newsystem.queue", "unsure.queue"])
def test_none_and_false_mean_try_again_and_in_the_end_people_are_told(
    vhost: BrokerAddress, broker: Broker, variables: dict[str, str], tmp_path: Path, queue: str
) -> None:
    original = publish(broker, queue, "refused-1")
    with Daemon(vhost, tmp_path / "daemon", variables) as daemon:
        broker.wait_for_count(ERRORS, 1)
        assert daemon.output().count("task.retry") == 2
        assert daemon.stop() == 0

    [(_, body)] = broker.get_all(ERRORS)
    report = json.loads(body)
    assert (report["task_id"], report["outcome"], report["attempts"]) == ("refused-1", "transient", 3)
    assert report["source_queue"] == queue
    assert report["original_message"] == json.loads(original)
    assert broker.count(queue) == 0
    assert broker.count(queue.replace(".queue", ".sent.queue")) == 0


def test_the_examples_are_those_of_the_specification() -> None:
    if not SPECIFICATION.is_file():
        pytest.skip("the specification is not beside this repository")
    text = SPECIFICATION.read_text(encoding="utf-8")
    chapter = text[text.index(CHAPTER) :].partition("\n## ")[0]
    ours = code_blocks(EXAMPLES.read_text(encoding="utf-8"))
    assert ours == code_blocks(chapter)
    assert len(ours) == 2

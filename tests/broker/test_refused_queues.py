"""A queue that RabbitMQ refuses is told to people, not to the disk; the other queues flow."""

from __future__ import annotations

from pathlib import Path

from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon
from testbench.harness import camunda_message, wait_until
from tests.support.users import user_with_rights


def test_a_queue_that_may_not_be_read_is_told_once_and_holds_up_no_other(
    tmp_path: Path, node: RabbitNode, vhost: BrokerAddress, broker: Broker
) -> None:
    for queue in ("bitrix24.queue", "default.queue"):
        broker.declare(queue)
    with (
        BitrixSandbox() as portal,
        user_with_rights(node, vhost, ".*", ".*", r"^(?!default\.queue$).*") as user,
    ):
        variables = {
            "RABBITMQ_USERNAME": user.username,
            "RABBITMQ_PASSWORD": user.password,
            "BITRIX_WEBHOOK_URL": portal.webhook_url,
        }
        with Daemon(vhost, tmp_path, variables) as daemon:
            broker.publish("bitrix24.queue", camunda_message("a"))
            broker.wait_for_count("bitrix24.sent.queue", 1)
            wait_until(lambda: "default.queue cannot be used" in daemon.output(), 30, "a line about the queue")
            broker.publish("bitrix24.queue", camunda_message("b"))
            broker.wait_for_count("bitrix24.sent.queue", 2)
            alert = "default.queue cannot be used: ACCESS_REFUSED"
            wait_until(lambda: alert in daemon.output().partition("alert.raised")[2], 30, "an alert")
            output = daemon.output()
    assert "ACCESS_REFUSED" in output
    assert output.count("channel of default.queue closed") == 1, "it is tried every second and told once a minute"

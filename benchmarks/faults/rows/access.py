"""The worker's ways into RabbitMQ: a host that hangs, a right that is missing, a password that is changed."""

from __future__ import annotations

import json
import random
import secrets

from benchmarks.faults.row import Row
from benchmarks.faults.rows.broker import delete_wait_queues, refuse_creations
from benchmarks.faults.rows.queues import refuse_some
from benchmarks.faults.stage import Stage

GROUP = "access"
SOON = 25.0  # seconds; a connect to the host that hangs is given up after ten
_EVERYTHING, _NO_WAIT_QUEUES = ".*", r"^(?!.*\.retry\.).*$"


def rows() -> list[Row]:
    return [
        Row(
            "first-host-hung",
            GROUP,
            "the first of two hosts takes connections and says nothing; every connection is closed",
            strike=close_all,
            hung_host_first=True,
            rounds=2,
            may_answer_twice=True,
            short=False,
        ),
        Row(
            "one-queue-cannot-be-created",
            GROUP,
            "wait queues and the sent queue are missing, the former may not be created: what needs none is answered",
            strike=forbid_wait_queues,
            own_user=True,
            settings={"RETRY_ATTEMPTS": "50", "HEARTBEAT_INTERVAL": "2"},
            rounds=2,
            short=False,
        ),
        Row(
            "queue-limit-reached",
            GROUP,
            "wait queues are missing, and the virtual host may have no more queues: what needs none is answered",
            strike=reach_queue_limit,
            settings={"RETRY_ATTEMPTS": "50"},
            rounds=2,
            short=False,
        ),
        Row(
            "wait-queues-of-another-kind",
            GROUP,
            "somebody has made the wait queues classic ones, which RabbitMQ calls wrong; every connection is closed",
            strike=make_wait_queues_classic,
            prepare=refuse_some,
            settings={"RETRY_ATTEMPTS": "50"},
            rounds=2,
            may_answer_twice=True,
            short=False,
        ),
        Row(
            "password-file-rotated",
            GROUP,
            "RABBITMQ_PASSWORD_FILE gets a new password a second after RabbitMQ has, and every connection is closed",
            strike=rotate_password,
            own_user=True,
            rounds=3,
            may_answer_twice=True,
            short=False,
        ),
    ]


def close_all(stage: Stage, _chance: random.Random) -> None:
    stage.node.close_all_connections()
    stage.feed(20, 0.5)
    before = stage.target.created
    if not stage.wait_for(lambda: stage.target.created > before, SOON):
        raise TimeoutError(f"nothing was created within {SOON:.0f} s, although the second host is there")


def forbid_wait_queues(stage: Stage, chance: random.Random) -> None:
    delete_wait_queues(stage, chance)
    stage.queues.delete(stage.target.sent_queue)  # which may be created again, and is needed before the others
    stage.access.set_rights(configure=_NO_WAIT_QUEUES)
    try:
        _expect_answers_without_wait_queues(stage)
    finally:
        stage.access.set_rights(configure=_EVERYTHING)


def reach_queue_limit(stage: Stage, chance: random.Random) -> None:
    delete_wait_queues(stage, chance)
    vhost = stage.address.vhost
    limit = json.dumps({"max-queues": len(stage.node.list_queues(vhost))})
    stage.node.ctl("set_vhost_limits", "--vhost", vhost, limit)
    try:
        _expect_answers_without_wait_queues(stage)
    finally:
        stage.node.ctl("clear_vhost_limits", "--vhost", vhost)


def _expect_answers_without_wait_queues(stage: Stage) -> None:
    refuse_creations(stage, 0.3)
    try:
        before = stage.answered() or 0
        stage.feed(40, 1.0)
        if not stage.wait_for(lambda: (stage.answered() or 0) >= before + 15, SOON):
            raise TimeoutError(f"only {(stage.answered() or 0) - before} answers while a wait queue was missing")
    finally:
        stage.target.server.clear_faults()


def make_wait_queues_classic(stage: Stage, chance: random.Random) -> None:
    stage.quiesce()
    names = stage.wait_queues()
    if not names:
        raise TimeoutError("there are no wait queues, although creations are refused")
    for name in names:
        stage.queues.delete(name)
        stage.queues.declare_classic_wait_queue(name)
    stage.node.close_all_connections()
    stage.feed(40, 1.0)
    stage.quiesce()
    delete_wait_queues(stage, chance)  # theirs; the worker makes its own again when it needs them


def rotate_password(stage: Stage, _chance: random.Random) -> None:
    password = secrets.token_hex(8)
    stage.access.change_password(password)
    stage.node.close_all_connections()
    stage.pause(1)
    stage.access.password_file.write_text(password)

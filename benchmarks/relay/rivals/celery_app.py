"""Celery with late acks: a task is acked after it has returned, and given back when its process dies.

Its default pool (a process for each core), no results kept, no gossip, no log line for each task. `confirm_publish`
makes each publish wait for its confirm. Tasks come in Celery's own envelope, which the benchmark writes.
https://docs.celeryq.dev/en/stable/userguide/optimizing.html
"""

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery
from kombu import Queue

from benchmarks.relay.rivals.common import Job, encoded, sent_queue

job = Job.given()
processes = os.cpu_count() or 1
app = Celery("relay", broker=job.url)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_queues=[Queue(queue, no_declare=True) for queue in job.queues],
    task_create_missing_queues=False,
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=max(1, job.prefetch // processes),  # Celery counts per process
    worker_enable_remote_control=False,
)


@app.task(name="relay")
def relay(task: dict[str, Any], queue: str) -> None:
    # Celery has decoded the message already; the result echoes the task, so it is written again.
    result, properties = encoded(task, json.dumps(task, ensure_ascii=False).encode(), queue)
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish(result, routing_key=sent_queue(queue), mandatory=True, **properties)


if __name__ == "__main__":
    quiet = ("--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat")
    app.worker_main(["worker", f"--concurrency={processes}", *quiet])

"""Which rows must notice which missing protection: a matrix that stays green without it proves nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """`name` is a removal of benchmarks.faults.removals; at least one of `rows` must turn red."""

    name: str
    meaning: str
    rows: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "confirm",
        "a publish counts as done when it is handed to the socket",
        ("memory-alarm-worker-killed", "responses-queue-full"),
    ),
    Mutation("mandatory", "what cannot be routed is confirmed and gone", ("sent-queue-deleted", "wait-queues-deleted")),
    Mutation("persistence", "messages live in the broker's memory", ("broker-restarted",)),
    Mutation(
        "resend", "publishes that a lost connection left unconfirmed are forgotten", ("publisher-connection-lost",)
    ),
    Mutation(
        "publish-before-ack", "the input is acked first, then its result is published", ("memory-alarm-worker-killed",)
    ),
    Mutation(
        "confirm-before-answered",
        "the sent message is acked before its response is confirmed",
        ("memory-alarm-worker-killed",),
    ),
    Mutation(
        "generation",
        "delivery tags of a lost channel are used on the next one",
        ("link-cut-worker-killed", "link-cut-worker-killed-quorum"),
    ),
    Mutation("look-up", "tasks are created without asking whether they exist", ("worker-killed-created",)),
    Mutation(
        "redelivered-wait",
        "a task that another worker may have begun is created at once",
        ("worker-killed-on-the-wire",),
    ),
    Mutation("exclusive-consumer", "two workers consume the queue at the same time", ("two-workers-one-killed",)),
    Mutation("cancel-callback", "a consumer that RabbitMQ has cancelled stays silent", ("input-queue-deleted",)),
    Mutation(
        "ownership",
        "nobody asks before a write whether the message is still ours",
        ("worker-partitioned@openproject", "worker-frozen-long@openproject"),
    ),
    Mutation("routing-headers", "copies are routed by CC and BCC as their messages were", ("input-routing-headers",)),
    Mutation("quarantine", "properties that cannot be read end the connection", ("input-undecodable-properties",)),
    Mutation(
        "return-counting",
        "what is returned again and again waits for the broker to drop it",
        ("connections-lost-25-times-quorum@default",),
    ),
    Mutation("message-id", "each copy of a response has an id of its own", ("worker-killed-response-confirmed",)),
)

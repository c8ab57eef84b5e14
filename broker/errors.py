"""Errors of RabbitMQ and of the way to it, and how they are explained to people."""

from __future__ import annotations

from pika.exceptions import AMQPError, ChannelClosedByBroker

from broker.unreachable import causes
from core.texts import BilingualError, Text

ACCESS_REFUSED = 403
NOT_FOUND = 404
RESOURCE_LOCKED = 405


class TopologyError(BilingualError):
    """The broker refused a queue or exchange; the text names it and the broker's reason."""


BROKER_ERRORS = (AMQPError, OSError, TopologyError)  # all that an unusable broker raises here


class PublisherClosedError(Exception):
    """The publisher was closed before the broker confirmed the message; it may or may not be in the queue."""


class MessageTooLargeError(BilingualError):
    """The broker refuses messages of this size (its max_message_size)."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            Text(
                f"the message has {size} bytes, RabbitMQ takes at most {limit} (max_message_size)",
                f"размер сообщения (байт): {size}, RabbitMQ принимает не больше {limit} (max_message_size)",
            )
        )


def refusal(name: str, error: ChannelClosedByBroker) -> TopologyError:
    told = f"{name}: {error.reply_code} {error.reply_text}"
    return TopologyError(Text(f"RabbitMQ refused {told}", f"RabbitMQ отказывает в {told}"))


def describe(error: BaseException) -> str:
    """Return an AMQP error in one line.

    pika wraps what happened, and its connection errors often have an empty text.
    """
    *_, innermost = causes(error)
    return str(innermost) or repr(innermost)


def describe_in_both(error: BaseException) -> Text:
    """Return the same in both languages, as far as the words are ours."""
    *_, innermost = causes(error)
    return innermost.text if isinstance(innermost, BilingualError) else Text.of(describe(innermost))

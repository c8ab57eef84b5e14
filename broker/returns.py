"""Counts how often a message was returned, and says what RabbitMQ makes of returns and how it reports them.

A quorum queue counts returns and drops a message, or dead-letters it, when they exceed its limit. Without a limit set
by argument or policy that is never before 4.0, and the 21st return since. Measured on 3.10.8, 4.0.5 and 4.3.6 (Debian's
packages; https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling):

| returned by                                      | 3.10 | 4.0     | 4.3     |
|--------------------------------------------------|------|---------|---------|
| nack with requeue, recover                       | yes  | yes     | no      |
| reject with requeue                              | yes  | yes     | yes     |
| a channel or connection that ends, a killed client | yes  | yes     | yes     |
| basic.get and the end of its channel             | yes  | yes     | yes     |
| consumer time-out                                | yes  | yes     | no      |
| limit without argument and policy                | none | 20      | 20      |
| `x-delivery-limit: -1`                           | gone at the first return | no limit | no limit |
| a limit of a thousand million                    | never reached | never reached | never reached |
| argument and policy                              | the smaller one | the smaller one | the smaller one |

`x-delivery-count` is the count (0 at the first delivery on 3.10, where the others have no header). 4.3 has
`x-acquired-count` beside it, which also rises at returns that are not counted. A classic queue counts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO_LIMIT = 1_000_000_000  # right on every version, as an argument and in a policy; -1 is not
COUNTED_SINCE = (4, 0)  # the version of RabbitMQ that has a limit by itself
DEFAULT_LIMIT = 20

# An input message with so many returns is replaced by a copy before anything else. With the lowest limit that makes
# sense, three, two more could follow; at the first, each lost connection would put all that was taken to the tail.
RENEW_AT = 2

_COUNTS = ("x-delivery-count", "x-acquired-count")


def times_returned(headers: Mapping[str, Any] | None) -> int:
    """Return how often a message has been taken and returned, as far as its queue says; 0 for a classic queue."""
    counts = [(headers or {}).get(name) for name in _COUNTS]
    return max((count for count in counts if isinstance(count, int)), default=0)

"""Stories that are played on more than one type of queue whatever --queues says; see `queue_type` in conftest.py."""

from __future__ import annotations

import pytest

CLASSIC_AND_QUORUM = pytest.mark.parametrize("queue_type", ["classic", "quorum"])
# For what only a classic queue does (its order, its hard limit), and for queues of somebody else's making.
ON_CLASSIC = pytest.mark.on_classic

EVERY_QUEUE_TYPE = pytest.mark.parametrize("queue_type", ["classic", "quorum", "quorum-by-default"])

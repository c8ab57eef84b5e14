"""Stories that are played on more than one type of queue whatever --queues says; see `queue_type` in conftest.py."""

from __future__ import annotations

import pytest

CLASSIC_AND_QUORUM = pytest.mark.parametrize("queue_type", ["classic", "quorum"])
EVERY_QUEUE_TYPE = pytest.mark.parametrize("queue_type", ["classic", "quorum", "quorum-by-default"])

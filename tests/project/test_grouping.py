"""What a file makes once, a node mostly, is made by one process. xdist has lost that before without a word."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="module")
def made_once() -> None:
    """Stands for something that is dear to make."""


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process plays everything here")
@pytest.mark.usefixtures("made_once")
def test_tests_that_share_what_their_file_makes_are_played_by_one_process(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith("@project/test_grouping")

"""Fixtures of the unit tests."""

from collections.abc import AsyncIterator

import pytest

from tests.support.runner_harness import Harness


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    """A new harness; its runner is closed at the end."""
    harness = Harness()
    yield harness
    await harness.runner.close()

"""Fixtures of the unit tests."""

from collections.abc import AsyncIterator

import pytest

from tests.support.runs import House


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A fresh one, emptied at the end."""
    house = House()
    yield house
    await house.runner.close()

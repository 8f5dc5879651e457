"""Fixtures for tests that tell the model what to do."""

from collections.abc import AsyncIterator

import pytest

from tests.support.model_calls import SetModel, open_control
from tests.support.servers import StandinServer

# Their assertions show values, as those of test modules do.
pytest.register_assert_rewrite("tests.integration.state_machine")


@pytest.fixture
async def set_model(standin: StandinServer) -> AsyncIterator[SetModel]:
    """Set default directives of the stand-in, for calls that the service makes by itself. Reset at the end."""
    async with open_control(standin) as client:

        async def set_defaults(**directives: str | float | bool) -> None:
            answer = await client.post("/_control/defaults", json=directives)
            assert answer.status_code == 200, answer.text

        yield set_defaults
        await client.delete("/_control/defaults")

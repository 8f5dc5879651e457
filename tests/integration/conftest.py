"""Fixtures of tests that look at what the model was asked."""

from collections.abc import AsyncIterator

import pytest

from tests.support.model_calls import ModelCalls, SetModel, open_control
from tests.support.servers import StandinServer


@pytest.fixture
async def model_calls(standin: StandinServer) -> AsyncIterator[ModelCalls]:
    """What the model was asked since the test began."""
    async with open_control(standin) as client:
        calls = ModelCalls(client)
        await calls.forget()
        yield calls


@pytest.fixture
async def set_model(standin: StandinServer) -> AsyncIterator[SetModel]:
    """Have the stand-in behave in a way whatever it is asked: for questions of the service's own. Reset at the end."""
    async with open_control(standin) as client:

        async def set_defaults(**directives: str | float | bool) -> None:
            answer = await client.post("/_control/defaults", json=directives)
            assert answer.status_code == 200, answer.text

        yield set_defaults
        await client.delete("/_control/defaults")

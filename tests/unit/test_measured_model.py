"""A measured model: what is told of each call, and that the answer stays as it is."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from prompts.adapters.measured_model import MeasuredModel
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Finished, Signal, Text, Thought
from prompts.domain.usage import OutputTokensDetails, Usage
from prompts.errors import ServiceError, UpstreamError
from prompts.ports.observer import Happening, ModelCalled, ModelsListed
from tests.support.fakes.chat_model import ScriptedModel, Step
from tests.support.fakes.observer import FakeObserver

USAGE = Usage(7, 12, 19, output_tokens_details=OutputTokensDetails(reasoning_tokens=2))
END: Step = [Finished("stop", USAGE)]


async def hear(model: MeasuredModel) -> list[Sequence[Signal]]:
    """All that it says."""
    async with model.stream(ModelRequest(model="m"), []) as answer:
        return [signals async for signals in answer]


async def ask(*steps: Step) -> ModelCalled:
    """What the observer is told of a call in which the model goes through these steps."""
    observer = FakeObserver()
    with suppress(ServiceError):
        await hear(MeasuredModel(ScriptedModel(steps), observer))
    [told] = observer.noticed
    assert isinstance(told, ModelCalled)
    assert told.model == "m"
    return told


async def test_the_answer_is_what_the_model_said() -> None:
    steps: list[Step] = [[Text("One")], [], [Text(" two")], END]
    assert await hear(MeasuredModel(ScriptedModel(steps), FakeObserver())) == steps


async def test_a_whole_answer_is_told_with_its_tokens_and_the_time_they_took() -> None:
    pause = 0.05
    told = await ask(lambda: asyncio.sleep(pause), [Text("One")], lambda: asyncio.sleep(pause), END)
    assert (told.code, told.usage) == (None, USAGE)
    assert told.writing_s is not None
    assert pause <= told.writing_s <= told.took_s - pause


@pytest.mark.parametrize(("first", "written"), [(Text("One"), 10), (Thought("Hm"), 12)], ids=["hidden", "shown"])
async def test_thoughts_count_as_written_when_they_were_heard(first: Signal, written: int) -> None:
    told = await ask([first], [Text(" two")], END)
    assert told.written_tokens == written


async def test_a_server_that_counts_nothing_tells_no_pace() -> None:
    told = await ask([Text("One")], [Finished("stop")])
    assert (told.usage, told.writing_s, told.written_tokens) == (None, None, None)


async def test_a_failure_is_told_with_its_code() -> None:
    told = await ask([Text("One")], UpstreamError("It broke off."))
    assert (told.code, told.usage, told.writing_s) == ("upstream_error", None, None)


async def test_a_call_that_is_left_is_no_failure() -> None:
    observer = FakeObserver()
    model = ScriptedModel([[Text("One")], asyncio.Event()])
    calling = asyncio.create_task(hear(MeasuredModel(model, observer)))
    await asyncio.sleep(0)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert model.is_closed
    [told] = observer.noticed
    assert isinstance(told, ModelCalled)
    assert told.code is None


async def test_the_models_are_told_once_a_list() -> None:
    class ListingModel(ScriptedModel):
        listed: Sequence[Model] = [Model("stand-in")]

        async def list_models(self) -> Sequence[Model]:
            return self.listed

    observer = FakeObserver()
    model = ListingModel([])
    measured = MeasuredModel(model, observer)
    for _ in range(3):
        assert await measured.list_models() is model.listed
    expected: list[Happening] = [ModelsListed(["stand-in"])]
    assert observer.noticed == expected
    model.listed = [Model("stand-in"), Model("another")]
    await measured.list_models()
    assert observer.noticed == [*expected, ModelsListed(["stand-in", "another"])]

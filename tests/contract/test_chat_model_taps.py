"""`ChatModel`: an answer that is tapped gives each signal once and in order, whichever way it comes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from prompts.adapters.openai.streams import Patience
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Argued, Called, Finished, Sealed, Signal, Text, Thought
from prompts.domain.text import ReasoningConfig
from prompts.domain.tools import FunctionTool
from prompts.errors import UpstreamError, UpstreamTimeout
from prompts.ports.chat_model import Answer, ChatModel, tap
from tests.contract.conftest import PROTOCOLS, open_model
from tests.support.fakes.chat_model import ScriptedModel
from tests.support.items import said
from tests.support.told_model import COMMENT, ToldModel

MAX_S = 10
SILENCE_S = 0.5
PATIENCE = Patience(connect_s=MAX_S, first_token_s=MAX_S, silence_s=SILENCE_S)
REQUEST = ModelRequest(model="m", reasoning=ReasoningConfig(effort="low"), tools=[FunctionTool(name="f")])


@pytest.fixture(params=PROTOCOLS)
async def told(request: pytest.FixtureRequest) -> AsyncIterator[ToldModel]:
    server = ToldModel(request.param)
    async with server.started():
        yield server


@pytest.fixture
async def model(told: ToldModel, request: pytest.FixtureRequest) -> AsyncIterator[ChatModel]:
    protocol = request.node.callspec.params["told"]
    async with open_model(protocol, told.base_url, PATIENCE) as opened:
        yield opened


class Tapped:
    """An answer, tapped before its first word: what was iterated, and what was taken."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._came = asyncio.Event()
        self.taken: list[Signal] = []
        self.heard: list[Signal] = []
        """The same, and what the test adds to it."""
        self.offered: list[Sequence[Signal]] = []
        self.is_full = False
        """Whether nothing is taken any more."""
        self.waiting: asyncio.Future[list[Signal]]
        tap(answer, self._take)

    def _take(self, texts: Sequence[Signal]) -> bool:
        self.offered.append(texts)
        if not self.is_full:
            self.taken += texts
            self.heard += texts
        self._came.set()
        return not self.is_full

    async def offer(self) -> None:
        """The next offer."""
        await self._came.wait()
        self._came.clear()

    def wait(self) -> None:
        """Wait for what is to be iterated next."""
        self.waiting = asyncio.ensure_future(anext(self._answer))

    async def iterate(self) -> list[Signal]:
        """What the wait led to; the next wait begins."""
        signals = await self.waiting
        self.wait()
        return signals


@asynccontextmanager
async def tapped(model: ChatModel, told: ToldModel) -> AsyncIterator[Tapped]:
    """An answer whose first word came, and whose next two were taken."""
    async with asyncio.timeout(MAX_S), model.stream(REQUEST, [said("user", "Hello")]) as answer:
        found = Tapped(answer)
        found.wait()
        await told.say(told.text("one"))
        assert await found.iterate() == [Text("one")]
        for word in ("two", "three"):
            await told.say(told.text(word))
            await found.offer()
        assert found.taken == [Text("two"), Text("three")]
        assert not found.waiting.done()
        yield found
        found.waiting.cancel()
        await asyncio.gather(found.waiting, return_exceptions=True)


async def test_the_end_is_iterated(model: ChatModel, told: ToldModel) -> None:
    async with tapped(model, told) as answer:
        await told.end()
        assert await answer.iterate() == [Finished("stop")]
        with pytest.raises(StopAsyncIteration):
            await answer.waiting


async def test_so_is_text_that_comes_with_the_end(model: ChatModel, told: ToldModel) -> None:
    async with tapped(model, told) as answer:
        await told.say(told.text("four"), told.text("five"), told.stop())
        assert await answer.iterate() == [Text("four"), Text("five")]
        assert await answer.iterate() == [Finished("stop")]
    assert len(answer.offered) == 2


async def test_many_words_of_one_read_are_taken_at_once(model: ChatModel, told: ToldModel) -> None:
    async with tapped(model, told) as answer:
        await told.say(*map(told.text, "abc"))
        await answer.offer()
        assert answer.offered[-1] == [Text("a"), Text("b"), Text("c")]


async def test_a_word_that_comes_in_two_reads_is_taken_whole(model: ChatModel, told: ToldModel) -> None:
    async with tapped(model, told) as answer:
        word = told.text("four")
        await told.say(word[:9])
        await asyncio.sleep(0)
        await told.say(word[9:])
        await answer.offer()
        assert answer.offered[-1] == [Text("four")]


async def test_what_is_not_taken_is_iterated_and_what_follows_is_offered_again(
    model: ChatModel, told: ToldModel
) -> None:
    async with tapped(model, told) as answer:
        answer.is_full = True
        await told.say(told.text("four"))
        await answer.offer()
        assert await answer.waiting == [Text("four")]
        answer.is_full = False
        await told.say(told.text("five"))  # nobody waits for it yet
        answer.wait()
        await answer.offer()
        assert answer.taken[2:] == [Text("five")]
        assert not answer.waiting.done()


async def test_thoughts_and_calls_after_text_come_in_their_place(model: ChatModel, told: ToldModel) -> None:
    async with tapped(model, told) as answer:
        await told.say(told.thought("Hm."))
        assert await answer.iterate() == [Thought("Hm.")]
        await told.say(told.text("four"))
        await told.say(told.text("five"), told.call("f"))
        await told.say(told.text("six"))
        await told.end()
        while not isinstance(answer.heard[-1], Finished):
            answer.heard += await answer.iterate()
    words = [signal.text for signal in answer.heard if isinstance(signal, Text)]
    assert words == ["two", "three", "four", "five", "six"]
    kinds = [type(signal) for signal in answer.heard if not isinstance(signal, (Text, Sealed))]
    assert kinds == [Called, Argued, Finished]


async def test_an_error_after_taken_text_is_raised(model: ChatModel, told: ToldModel) -> None:
    async with tapped(model, told) as answer:
        await told.say(told.text("four"), told.error())
        assert await answer.iterate() == [Text("four")]
        with pytest.raises(UpstreamError):
            await answer.waiting


async def test_so_is_a_connection_that_breaks(model: ChatModel, told: ToldModel) -> None:
    async with tapped(model, told) as answer:
        told.cut()
        with pytest.raises(UpstreamError):
            await answer.waiting


async def test_whoever_was_cancelled_takes_nothing_more(model: ChatModel, told: ToldModel) -> None:
    async with tapped(model, told) as answer:
        answer.waiting.cancel()
        await told.say(told.text("four"))
        await asyncio.gather(answer.waiting, return_exceptions=True)
        await told.say(told.text("five"))
        await asyncio.sleep(0.1)
        assert len(answer.offered) == 2
    await told.left.wait()


async def test_an_error_of_whoever_takes_is_raised_where_it_is_iterated(model: ChatModel, told: ToldModel) -> None:
    def fail(_: Sequence[Signal]) -> bool:
        raise ZeroDivisionError

    async with tapped(model, told) as answer:
        tap(answer._answer, fail)
        await told.say(told.text("four"))
        with pytest.raises(ZeroDivisionError):
            await answer.waiting
    await told.left.wait()


async def test_taken_text_puts_silence_off_and_comments_do_not(model: ChatModel, told: ToldModel) -> None:
    loop = asyncio.get_running_loop()
    async with tapped(model, told) as answer:
        for _ in range(4):
            await asyncio.sleep(SILENCE_S / 2)
            await told.say(told.text("on"))
            await answer.offer()
        began = loop.time()
        while not answer.waiting.done():
            await asyncio.sleep(SILENCE_S / 4)
            with suppress(ConnectionError):  # it has given up at this moment
                await told.say(COMMENT)
        assert SILENCE_S / 2 < loop.time() - began < 3 * SILENCE_S
        with pytest.raises(UpstreamTimeout):
            await answer.waiting
    assert len(answer.taken) == 6


async def test_an_answer_without_a_tap_is_only_iterated() -> None:
    steps: list[list[Signal]] = [[Text("one")], [Text("two")], [Finished("stop")]]
    taken: list[Signal] = []

    def take(texts: Sequence[Signal]) -> bool:
        taken.extend(texts)
        return True

    async with ScriptedModel(steps).stream(REQUEST, []) as answer:
        tap(answer, take)
        assert [signals async for signals in answer] == steps
    assert not taken

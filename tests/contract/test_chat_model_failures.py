"""`ChatModel`: what every adapter promises when something goes wrong, is too long, or has to go on elsewhere."""

import asyncio

import httpx
import pytest

from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Finished
from prompts.domain.tools import FunctionTool
from prompts.errors import InvalidPrompt, PromptTooLong, RateLimited, ServiceError, UpstreamError, UpstreamTimeout
from tests.support.items import said
from tests.support.model_asker import Asker

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = FunctionTool(name="get_weather", parameters=CITY)


async def count_asked(control: httpx.AsyncClient) -> int:
    """How often the stand-in was asked."""
    return len((await control.get("/_control/calls")).json())


@pytest.mark.parametrize(
    ("directive", "kind"),
    [
        ("cut_after=3", UpstreamError),
        ("end_after=3", UpstreamError),
        ("garbage_after=3", UpstreamError),
        ("error_after=3", UpstreamError),
        ("failed_after=3", UpstreamError),
        ("silence_after=3", UpstreamTimeout),
        ("error_after=3 code=rate_limit_exceeded", RateLimited),
    ],
)
async def test_an_answer_that_breaks_off_is_kept_so_far_and_not_asked_again(
    asker: Asker, control: httpx.AsyncClient, directive: str, kind: type[ServiceError]
) -> None:
    heard = await asker.try_to_ask(f"count to 9 [[standin token_s=0.02 {directive}]]")
    assert type(heard.error) is kind
    assert "1 2 3 4 5 6 7 8 9".startswith(heard.text)
    assert heard.text
    assert not any(isinstance(signal, Finished) for signal in heard.signals)
    assert await count_asked(control) == 1
    assert (await control.get("/_control/active?until=0")).json() == {"active": 0}


@pytest.mark.parametrize(
    ("directive", "kind"),
    [
        ("cut_after=0", UpstreamError),
        ("end_after=0", UpstreamError),
        ("garbage_after=0", UpstreamError),
        ("error_after=0", UpstreamError),
        ("silence_after=0", UpstreamTimeout),
        ("first_token_s=60", UpstreamTimeout),
        ("headers_s=60", UpstreamTimeout),
        ("status=400", InvalidPrompt),
        ("status=400 code=context_length_exceeded", PromptTooLong),
        ("status=401", UpstreamError),
        ("status=429", RateLimited),
        ("status=500", UpstreamError),
    ],
)
async def test_a_model_that_fails_before_its_first_word(asker: Asker, directive: str, kind: type[ServiceError]) -> None:
    heard = await asker.try_to_ask(f"count to 9 [[standin {directive}]]")
    assert type(heard.error) is kind
    assert heard.signals == []


async def test_a_call_is_a_beginning_and_its_silence_a_failure(asker: Asker) -> None:
    heard = await asker.try_to_ask("Call get_weather city=Paris [[standin silence_after=3]]", tools=[WEATHER])
    assert isinstance(heard.error, UpstreamTimeout)
    assert "fell silent" in heard.error.message
    assert [call.name for call in heard.called] == ["get_weather"]


async def test_a_thought_is_a_beginning_and_its_silence_a_failure(asker: Asker) -> None:
    heard = await asker.try_to_ask('Hi [[standin reason="one two three four" silence_after=2]]')
    assert isinstance(heard.error, UpstreamTimeout)
    assert "fell silent" in heard.error.message


async def test_a_rate_limit_tells_its_pause_and_is_not_asked_again(asker: Asker, control: httpx.AsyncClient) -> None:
    heard = await asker.try_to_ask("Hi [[standin status=429 retry_after=7]]")
    assert isinstance(heard.error, RateLimited)
    assert heard.error.retry_after_s == 7
    assert await count_asked(control) == 1


async def test_a_short_failure_is_never_noticed(asker: Asker, request: pytest.FixtureRequest) -> None:
    question = f"count to 3 [[standin fail=1 status=503 key={request.node.name}]]"
    assert (await asker.ask(question)).text == "1 2 3"


MANY = [
    said("user", "My name is Ada."),
    said("assistant", "Hello, Ada!"),
    said("user", "I see."),
    said("assistant", "Good."),
]


async def test_an_input_that_is_too_long_loses_its_older_half(asker: Asker, request: pytest.FixtureRequest) -> None:
    refused = f"[[standin fail=1 status=400 code=context_length_exceeded key={request.node.name}]]"
    rules = said("system", "My colour is red.")
    colour = await asker.ask(rules, *MANY, f"What is my colour? {refused}", truncation="auto")
    assert colour.text == "Your colour is red."
    again = refused.replace("key=", "key=again-")
    name = await asker.ask(rules, *MANY, f"What is my name? {again}", truncation="auto")
    assert "Ada" not in name.text


async def test_an_input_is_halved_a_few_times_only(asker: Asker, control: httpx.AsyncClient) -> None:
    question = "Hi [[standin status=400 code=context_length_exceeded]]"
    heard = await asker.try_to_ask(*MANY * 100, question, truncation="auto")
    assert isinstance(heard.error, PromptTooLong)
    assert await count_asked(control) == 6


@pytest.mark.parametrize("truncation", ["auto", "disabled"])
async def test_an_input_that_cannot_be_shorter_is_refused(
    asker: Asker, control: httpx.AsyncClient, truncation: str
) -> None:
    items = [] if truncation == "auto" else MANY
    question = "Hi [[standin status=400 code=context_length_exceeded]]"
    heard = await asker.try_to_ask(*items, question, truncation=truncation)
    assert isinstance(heard.error, PromptTooLong)
    assert await count_asked(control) == 1


@pytest.mark.parametrize("directive", ["", " [[standin echo_prefix]]", " [[standin no_prefix]]"])
async def test_an_answer_is_continued_exactly_where_it_was_cut(asker: Asker, directive: str) -> None:
    question = f"count to 12{directive}"
    whole = (await asker.ask(question)).text
    for cut in range(1, len(whole) + 1, 2):
        shown = whole[:cut]
        heard = await asker.ask(question, shown=shown)
        assert shown + heard.text == whole
        assert heard.finished.reason == "stop"


async def test_a_continuation_that_is_too_long_loses_its_older_half(
    asker: Asker, request: pytest.FixtureRequest
) -> None:
    refused = f"[[standin fail=1 status=400 code=context_length_exceeded key={request.node.name}]]"
    heard = await asker.ask(*MANY, f"count to 5 {refused}", shown="1 2 3", truncation="auto")
    assert heard.text.strip() == "4 5"


@pytest.mark.parametrize("shown", ["", "1 2"])
async def test_leaving_closes_the_connection(asker: Asker, control: httpx.AsyncClient, shown: str) -> None:
    begun = asyncio.Event()

    async def listen() -> None:
        question = said("user", "count to 99 [[standin token_s=0.05]]")
        async with asker.model.stream(ModelRequest(model="stand-in"), [question], shown=shown) as answer:
            async for _ in answer:
                begun.set()

    listening = asyncio.create_task(listen())
    await begun.wait()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert (await control.get("/_control/active?until=0")).json() == {"active": 0}
    outcomes = [call["outcome"] for call in (await control.get("/_control/calls")).json()]
    assert outcomes == ["disconnected"]


async def test_leaving_before_the_first_word_closes_the_connection(asker: Asker, control: httpx.AsyncClient) -> None:
    request, question = ModelRequest(model="stand-in"), said("user", "Hi [[standin first_token_s=60]]")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), asker.model.stream(request, [question]) as answer:
            await anext(answer)
    assert (await control.get("/_control/active?until=0")).json() == {"active": 0}

"""The official SDK, `openai`: two turns with a tool, streamed and parsed, in each way to continue."""

from collections.abc import Iterator
from typing import Any, Literal, cast

import pytest
from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from openai.types.responses import (
    ParsedResponse,
    ParsedResponseFunctionToolCall,
    Response,
    ResponseFunctionToolCall,
    ResponseReasoningItem,
    ResponseStreamEvent,
)
from pydantic import BaseModel

from tests.clients.scenario import (
    FIRST,
    FIRST_ANSWER,
    MODEL,
    SECOND,
    SECOND_ANSWER,
    THINKING,
    THOUGHT,
    Answer,
    get_weather,
)
from tests.support.server_fixtures import StartReplica
from tests.support.service import Service

Way = Literal["input", "previous_response_id", "conversation"]
WAYS: tuple[Way, ...] = ("input", "previous_response_id", "conversation")


class City(BaseModel):
    """The arguments of the tool."""

    city: str


class Talk:
    """The parameters of each request of the conversation, in one of the ways to continue."""

    def __init__(self, way: Way, conversation_id: str) -> None:
        self._way = way
        self._where = {"conversation": conversation_id} if way == "conversation" else {}
        self._items: list[Any] = []

    def ask_first(self, words: str = FIRST) -> dict[str, Any]:
        """The first question."""
        return self._go_on(None, {"role": "user", "content": words})

    def give_result(self, response: Response) -> dict[str, Any]:
        """The tool's result, after an answer that called it."""
        (call,) = [item for item in response.output if isinstance(item, ResponseFunctionToolCall)]
        assert call.name == "get_weather"
        result = get_weather(City.model_validate_json(call.arguments).city)
        return self._go_on(response, {"type": "function_call_output", "call_id": call.call_id, "output": result})

    def ask_second(self, response: Response, words: str = SECOND) -> dict[str, Any]:
        """The second question."""
        return self._go_on(response, {"role": "user", "content": words})

    def _go_on(self, response: Response | None, item: dict[str, str]) -> dict[str, Any]:
        self._items += [*(response.output if response else []), item]
        if response is not None and self._way == "previous_response_id":
            self._where = {"previous_response_id": response.id}
        tools = [pydantic_function_tool(City, name="get_weather")]
        return {"model": MODEL, "input": self._items if self._way == "input" else [item], "tools": tools, **self._where}


class Reader:
    """Reads raw events as an application does, and compares the final response with the stream."""

    def __init__(self) -> None:
        self._text = self._arguments = ""
        self._final: Response | None = None

    def see(self, event: ResponseStreamEvent) -> None:
        """Take one event."""
        assert self._final is None, "nothing follows the terminal event"
        match event.type:
            case "response.output_text.delta":
                self._text += event.delta
            case "response.function_call_arguments.delta":
                self._arguments += event.delta
            case "response.completed":
                self._final = event.response

    def get_final(self) -> Response:
        """The final response."""
        assert self._final is not None
        assert self._final.output_text == self._text
        calls = [item for item in self._final.output if isinstance(item, ResponseFunctionToolCall)]
        assert "".join(call.arguments for call in calls) == self._arguments
        return self._final


@pytest.fixture
def blocking_alice(service: Service) -> Iterator[OpenAI]:
    """The SDK without asyncio."""
    with OpenAI(base_url=service.api_url, api_key=service.alice_key, max_retries=0) as client:
        yield client


@pytest.fixture(params=WAYS)
def talk(request: pytest.FixtureRequest, blocking_alice: OpenAI) -> Talk:
    """The conversation, in each way to continue."""
    return Talk(request.param, blocking_alice.conversations.create().id)


async def test_raw_events(alice: AsyncOpenAI, talk: Talk) -> None:
    async def ask(request: dict[str, Any]) -> Response:
        reader = Reader()
        async for event in await alice.responses.create(**flat(request), stream=True):
            reader.see(event)
        return reader.get_final()

    first = await ask(talk.ask_first())
    told = await ask(talk.give_result(first))
    assert told.output_text == FIRST_ANSWER
    assert (await ask(talk.ask_second(told))).output_text == SECOND_ANSWER


def test_raw_events_without_asyncio(blocking_alice: OpenAI, talk: Talk) -> None:
    def ask(request: dict[str, Any]) -> Response:
        reader = Reader()
        for event in blocking_alice.responses.create(**flat(request), stream=True):
            reader.see(event)
        return reader.get_final()

    first = ask(talk.ask_first())
    told = ask(talk.give_result(first))
    assert told.output_text == FIRST_ANSWER
    assert ask(talk.ask_second(told)).output_text == SECOND_ANSWER


async def test_the_stream_helper(alice: AsyncOpenAI, talk: Talk) -> None:
    async def ask(request: dict[str, Any]) -> ParsedResponse[Any]:
        async with alice.responses.stream(**request) as stream:
            return await stream.get_final_response()

    first = await ask(talk.ask_first())
    check_parsed_call(first)
    told = await ask(talk.give_result(first))
    assert told.output_text == FIRST_ANSWER
    async with alice.responses.stream(**talk.ask_second(told), text_format=Answer) as stream:
        done = [event async for event in stream if event.type == "response.output_text.done"]
        final = await stream.get_final_response()
    assert final.output_parsed == done[0].parsed == Answer(answer=SECOND_ANSWER)


def test_the_stream_helper_without_asyncio(blocking_alice: OpenAI, talk: Talk) -> None:
    def ask(request: dict[str, Any]) -> ParsedResponse[Answer]:
        with blocking_alice.responses.stream(**request, text_format=Answer) as stream:
            return stream.get_final_response()

    first = ask(talk.ask_first())
    check_parsed_call(first)
    told = ask(talk.give_result(first))
    assert told.output_parsed == Answer(answer=FIRST_ANSWER)
    assert ask(talk.ask_second(told)).output_parsed == Answer(answer=SECOND_ANSWER)


async def test_parsed_answers(alice: AsyncOpenAI, talk: Talk) -> None:
    first = await alice.responses.parse(**talk.ask_first(), text_format=Answer)
    check_parsed_call(first)
    told = await alice.responses.parse(**talk.give_result(first), text_format=Answer)
    assert told.output_parsed == Answer(answer=FIRST_ANSWER)
    second = await alice.responses.parse(**talk.ask_second(told), text_format=Answer)
    assert second.output_parsed == Answer(answer=SECOND_ANSWER)


def test_parsed_answers_without_asyncio(blocking_alice: OpenAI, talk: Talk) -> None:
    first = blocking_alice.responses.parse(**talk.ask_first(), text_format=Answer)
    check_parsed_call(first)
    told = blocking_alice.responses.parse(**talk.give_result(first), text_format=Answer)
    assert told.output_parsed == Answer(answer=FIRST_ANSWER)
    second = blocking_alice.responses.parse(**talk.ask_second(told), text_format=Answer)
    assert second.output_parsed == Answer(answer=SECOND_ANSWER)


async def test_thoughts_go_back_as_they_came(alice: AsyncOpenAI, talk: Talk) -> None:
    async def ask(request: dict[str, Any]) -> ParsedResponse[Any]:
        async with alice.responses.stream(**request, reasoning={"effort": "low", "summary": "auto"}) as stream:
            return await stream.get_final_response()

    first = await ask(talk.ask_first(FIRST + THINKING))
    thoughts = [item for item in first.output if isinstance(item, ResponseReasoningItem)]
    assert [part.text for thought in thoughts for part in thought.content or []] == [THOUGHT]
    told = await ask(talk.give_result(first))
    assert told.output_text == FIRST_ANSWER
    assert (await ask(talk.ask_second(told, SECOND + THINKING))).output_text == SECOND_ANSWER


async def test_two_turns_over_a_websocket(alice: AsyncOpenAI) -> None:
    """Nothing is stored, and only what is new is sent."""
    tool: Any = {"type": "function", **pydantic_function_tool(City, name="get_weather")["function"]}
    async with alice.responses.connect() as connection:

        async def ask(**request: Any) -> Response:
            reader = Reader()
            await connection.response.create(model=MODEL, store=False, tools=[tool], **request)
            async for event in connection:
                assert event.type != "error", event
                reader.see(cast(ResponseStreamEvent, event))
                if event.type in ("response.completed", "response.failed", "response.incomplete"):
                    break
            return reader.get_final()

        first = await ask(input=FIRST)
        (call,) = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": get_weather("Paris")}
        told = await ask(input=[result], previous_response_id=first.id)
        assert told.output_text == FIRST_ANSWER
        assert (await ask(input=SECOND, previous_response_id=told.id)).output_text == SECOND_ANSWER


async def test_lanes_of_a_websocket_are_named_by_their_events(alice: AsyncOpenAI) -> None:
    texts: dict[str | None, str] = {}
    async with alice.responses.connect() as connection:
        for lane, count in (("one", 1), ("two", 2)):
            await connection.response.create(model=MODEL, input=f"count to {count}", stream_id=lane)
        async for event in connection:
            if event.type == "response.completed":
                texts[event.stream_id] = event.response.output_text
                if len(texts) == 2:
                    break
    assert texts == {"one": "1", "two": "1 2"}


def test_a_websocket_without_asyncio_is_told_what_is_wrong(blocking_alice: OpenAI) -> None:
    with blocking_alice.responses.connect() as connection:
        connection.response.create(model="nobody", input="Hello", stream_id="lane")
        refused = connection.recv()
        assert refused.type == "error"
        assert (refused.error.code, refused.stream_id) == ("model_not_found", "lane")
        connection.response.create(model=MODEL, input="count to 2")
        for event in connection:
            if event.type == "response.completed":
                assert event.response.output_text == "1 2"
                break


@pytest.fixture
def patient_alice(service: Service, start_replica: StartReplica) -> Iterator[OpenAI]:
    """The SDK at a replica that keeps a silent stream alive every second."""
    replica = start_replica({**service.environment, "KEEP_ALIVE_S": "1", "MODEL_FIRST_TOKEN_S": "30"})
    with OpenAI(base_url=f"{replica.url}/v1", api_key=service.alice_key, max_retries=0) as client:
        yield client


def test_what_keeps_a_silent_stream_alive_disturbs_nobody(patient_alice: OpenAI) -> None:
    slow = "repeat: one two [[standin first_token_s=1.5 token_s=1.5]]"
    reader = Reader()
    kinds: list[str] = []
    for event in patient_alice.responses.create(model=MODEL, input=slow, stream=True):
        kinds.append(event.type)
        reader.see(event)
    assert kinds.count("keepalive") >= 2
    assert reader.get_final().output_text == "one two"
    with patient_alice.responses.stream(model=MODEL, input=slow) as stream:
        kinds = [str(event.type) for event in stream]
        assert stream.get_final_response().output_text == "one two"
    assert kinds.count("keepalive") >= 2


def flat(request: dict[str, Any]) -> dict[str, Any]:
    """The same for `create`, whose caller must choose the form of tools."""
    tools = [{"type": "function", **tool["function"]} for tool in request["tools"]]
    return {**request, "tools": tools}


def check_parsed_call(response: ParsedResponse[Any]) -> None:
    """Check that the SDK has parsed the arguments of the only call."""
    (call,) = [item for item in response.output if isinstance(item, ParsedResponseFunctionToolCall)]
    assert call.parsed_arguments == City(city="Paris")

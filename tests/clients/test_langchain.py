"""LangChain's `ChatOpenAI` over the Responses API: two turns with a tool, in each of its message formats."""

from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from tests.clients.scenario import (
    FIRST,
    FIRST_ANSWER,
    SECOND,
    SECOND_ANSWER,
    THINKING,
    Answer,
    get_weather,
)

WEATHER = tool(get_weather)

VARIANTS: dict[str, dict[str, Any]] = {
    "everything again": {},
    "everything again, v0": {"output_version": "v0"},
    "everything again, responses/v1": {"output_version": "responses/v1"},
    "everything again, v1": {"output_version": "v1"},
    "previous_response_id": {"use_previous_response_id": True},
    "previous_response_id, v1": {"use_previous_response_id": True, "output_version": "v1"},
    "nothing stored": {"store": False, "include": ["reasoning.encrypted_content"]},
    "nothing stored, v1": {"store": False, "include": ["reasoning.encrypted_content"], "output_version": "v1"},
}


@pytest.fixture(params=VARIANTS)
def chat(request: pytest.FixtureRequest, settings: dict[str, Any]) -> ChatOpenAI:
    """The model in each variant, as an application makes it."""
    return ChatOpenAI(**settings, **VARIANTS[request.param])


async def stream_turn(chat: ChatOpenAI, messages: list[AnyMessage], words: str) -> AIMessage:
    """One turn: question, calls, answer. All of it is added to the messages."""
    bound = chat.bind_tools([WEATHER])
    messages.append(HumanMessage(words))
    while True:
        answer = reduce(add, [chunk async for chunk in bound.astream(messages)])
        messages.append(answer)
        if not answer.tool_calls:
            return answer
        messages += [await WEATHER.ainvoke(call) for call in answer.tool_calls]


async def test_two_streamed_turns_with_a_tool(chat: ChatOpenAI) -> None:
    messages: list[AnyMessage] = []
    first = await stream_turn(chat, messages, FIRST)
    assert first.text == FIRST_ANSWER
    second = await stream_turn(chat, messages, SECOND)
    assert second.text == SECOND_ANSWER
    assert [message.type for message in messages].count("tool") == 1
    assert second.usage_metadata is not None
    assert second.response_metadata["status"] == "completed"


async def test_thoughts_go_back_as_they_came(chat: ChatOpenAI) -> None:
    thinking = chat.model_copy(update={"reasoning": {"effort": "low", "summary": "auto"}})
    messages: list[AnyMessage] = []
    first = await stream_turn(thinking, messages, FIRST + THINKING)
    assert first.text == FIRST_ANSWER
    # It reads summaries only. Of reasoning without a summary it keeps the id.
    assert "'rs_" in str(first)
    assert (await stream_turn(thinking, messages, SECOND + THINKING)).text == SECOND_ANSWER


def test_two_streamed_turns_without_asyncio(chat: ChatOpenAI) -> None:
    bound = chat.bind_tools([WEATHER])
    messages: list[AnyMessage] = [HumanMessage(FIRST)]
    called = reduce(add, bound.stream(messages))
    messages += [called, *(WEATHER.invoke(call) for call in called.tool_calls)]
    told = reduce(add, bound.stream(messages))
    assert told.text == FIRST_ANSWER
    messages += [told, HumanMessage(SECOND)]
    assert "".join(chunk.text for chunk in bound.stream(messages)) == SECOND_ANSWER


async def test_an_answer_as_data(chat: ChatOpenAI) -> None:
    structured = chat.with_structured_output(Answer, method="json_schema")
    question = [HumanMessage("My name is Ada."), HumanMessage(SECOND)]
    assert await structured.ainvoke(question) == Answer(answer=SECOND_ANSWER)
    assert [part async for part in structured.astream(question)][-1] == Answer(answer=SECOND_ANSWER)

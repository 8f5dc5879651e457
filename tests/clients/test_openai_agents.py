"""OpenAI's Agents SDK: an agent with a tool, run twice, in each of its ways to keep a history, over both transports."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    OpenAIResponsesWSModel,
    RunConfig,
    Runner,
    RunResultStreaming,
    function_tool,
)
from openai import AsyncOpenAI
from openai.types.shared import Reasoning

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

WAYS = ("input", "previous_response_id", "auto_previous_response_id", "conversation_id", "session", "nothing stored")
# Traces would go to OpenAI.
RUN = RunConfig(tracing_disabled=True)

Ask = Callable[[Agent, str], Awaitable[RunResultStreaming]]


@pytest.fixture(params=["http", "websocket"])
async def agent(request: pytest.FixtureRequest, alice: AsyncOpenAI) -> AsyncIterator[Agent]:
    """An agent as an application makes it."""
    over_socket = OpenAIResponsesWSModel(MODEL, alice)
    model = over_socket if request.param == "websocket" else OpenAIResponsesModel(MODEL, alice)
    yield Agent(name="Weather", instructions="Be brief.", tools=[function_tool(get_weather)], model=model)
    await over_socket.close()


@pytest.fixture(params=WAYS)
async def ask(request: pytest.FixtureRequest, alice: AsyncOpenAI) -> Ask:
    """Runs one turn to its end; the next call continues from there."""
    way: str = request.param
    history: list[Any] = []
    more: dict[str, Any] = {}
    match way:
        case "auto_previous_response_id":
            more["auto_previous_response_id"] = True
        case "conversation_id":
            more["conversation_id"] = (await alice.conversations.create()).id
        case "session":
            more["session"] = OpenAIConversationsSession(openai_client=alice)

    async def run(agent: Agent, words: str) -> RunResultStreaming:
        nonlocal history
        if way == "nothing stored":
            settings = ModelSettings(store=False, response_include=["reasoning.encrypted_content"])
            agent = agent.clone(model_settings=agent.model_settings.resolve(settings))
        given = [*history, {"role": "user", "content": words}] if way in ("input", "nothing stored") else words
        result = Runner.run_streamed(agent, given, run_config=RUN, **more)
        async for _ in result.stream_events():
            pass
        history = result.to_input_list()
        if way.endswith("previous_response_id"):
            more["previous_response_id"] = result.last_response_id
        return result

    return run


def get_kinds(result: RunResultStreaming) -> list[str]:
    """The types of a run's items."""
    return [item.type for item in result.new_items]


async def test_two_streamed_turns_with_a_tool(agent: Agent, ask: Ask) -> None:
    first = await ask(agent, FIRST)
    assert first.final_output == FIRST_ANSWER
    assert get_kinds(first) == ["tool_call_item", "tool_call_output_item", "message_output_item"]
    second = await ask(agent, SECOND)
    assert second.final_output == SECOND_ANSWER
    assert second.context_wrapper.usage.output_tokens > 0


async def test_thoughts_go_back_as_they_came(agent: Agent, ask: Ask) -> None:
    agent.model_settings.reasoning = Reasoning(effort="low", summary="auto")
    first = await ask(agent, FIRST + THINKING)
    assert first.final_output == FIRST_ANSWER
    assert get_kinds(first).count("reasoning_item") == 2
    assert THOUGHT in str(first.new_items[0])
    assert (await ask(agent, SECOND + THINKING)).final_output == SECOND_ANSWER


async def test_an_answer_as_data(agent: Agent, ask: Ask) -> None:
    agent.output_type = Answer
    assert (await ask(agent, FIRST)).final_output == Answer(answer=FIRST_ANSWER)
    assert (await ask(agent, SECOND)).final_output == Answer(answer=SECOND_ANSWER)


async def test_one_agent_hands_over_to_another(agent: Agent, ask: Ask) -> None:
    first = Agent(name="Front", instructions="Be brief.", handoffs=[agent], model=agent.model)
    result = await ask(first, "My name is Ada. transfer_to_weather")
    assert result.last_agent is agent
    assert (await ask(agent, SECOND)).final_output == SECOND_ANSWER

"""Vercel's AI SDK with its OpenAI provider, in Node: two streamed turns with a tool, in each way to continue.

By default it refers to the model's items with `item_reference`.
"""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.clients.scenario import FIRST, FIRST_ANSWER, MODEL, SECOND, SECOND_ANSWER, THINKING, Answer
from tests.support.npm import install_npm_packages
from tests.support.processes import REPO_ROOT
from tests.support.service import Service

PACKAGE = REPO_ROOT / "tests/clients/ai_sdk"
# Fourteen packages: 3 s with a warm cache, once.
MAX_INSTALL_S = 90
# Node starts within a second, and a turn takes a fraction of one.
MAX_TALK_S = 15

Part = dict[str, Any]
Talk = Callable[..., Awaitable[list[Part]]]

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "item references": ("messages", {}),
    "previousResponseId": ("previousResponseId", {}),
    "conversation": ("conversation", {}),
    "nothing stored": ("messages", {"store": False, "include": ["reasoning.encrypted_content"]}),
}


@pytest.fixture(scope="module")
def node() -> Path:
    """Node with the SDK installed."""
    return install_npm_packages(PACKAGE, within_s=MAX_INSTALL_S)


@pytest.fixture(params=WAYS)
async def talk(request: pytest.FixtureRequest, node: Path, service: Service, alice: AsyncOpenAI) -> Talk:
    """Run a whole conversation in a process of its own; returns the SDK's result."""
    history, options = WAYS[request.param]
    if history == "conversation":
        options = {"conversation": (await alice.conversations.create()).id}

    async def run(*words: str, **more: Any) -> list[Part]:
        argument = {
            "baseURL": service.api_url,
            "apiKey": service.alice_key,
            "model": MODEL,
            "history": history,
            "words": words,
            **more,
            "options": {**options, **more.get("options", {})},
        }
        return await run_script(node, "talk.mjs", argument)

    return run


async def run_script(node: Path, script: str, argument: dict[str, Any]) -> list[Part]:
    """The output of a script that must succeed."""
    process = await asyncio.create_subprocess_exec(
        node, script, json.dumps(argument), cwd=PACKAGE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(MAX_TALK_S):
            printed, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    parts = [json.loads(line) for line in printed.splitlines()]
    assert (process.returncode, complaints) == (0, b""), f"{complaints.decode()}\n{parts}"
    return parts


def find(parts: list[Part], kind: str) -> list[Part]:
    """The parts of one kind."""
    return [part for part in parts if part["type"] == kind]


def check_turns(parts: list[Part], *texts: str) -> None:
    """Check the text of each turn, its stream, and that there were no errors."""
    assert find(parts, "error") == []
    turns = find(parts, "turn")
    assert [turn["text"] for turn in turns] == list(texts)
    assert [turn["warnings"] for turn in turns] == [[] for _ in texts]
    assert "".join(part["text"] for part in find(parts, "text-delta")) == "".join(texts)
    assert [part["finishReason"] for part in find(parts, "finish")] == ["stop" for _ in texts]


async def test_two_streamed_turns_with_a_tool(talk: Talk) -> None:
    parts = await talk(FIRST, SECOND)
    check_turns(parts, FIRST_ANSWER, SECOND_ANSWER)
    (result,) = find(parts, "tool-result")
    assert (result["toolName"], result["input"]) == ("get_weather", {"city": "Paris"})
    assert [part["finishReason"] for part in find(parts, "finish-step")] == ["tool-calls", "stop", "stop"]


async def test_thoughts_go_back_as_they_came(talk: Talk) -> None:
    thinking = {"reasoningEffort": "low", "reasoningSummary": "auto", "forceReasoning": True}
    parts = await talk(FIRST + THINKING, SECOND + THINKING, options=thinking)
    check_turns(parts, FIRST_ANSWER, SECOND_ANSWER)
    assert len(find(parts, "reasoning-start")) == len(find(parts, "reasoning-end")) == 3


async def test_an_answer_as_data(talk: Talk) -> None:
    parts = await talk(FIRST, SECOND, asData=True)
    check_turns(parts, *(Answer(answer=text).model_dump_json() for text in (FIRST_ANSWER, SECOND_ANSWER)))

"""Agno: an agent with a tool, and a database for its history."""

import asyncio
from collections.abc import AsyncIterator

from agno.agent import Agent
from agno.db.in_memory import InMemoryDb
from agno.media import Image
from agno.models.openai import OpenAIResponses
from openai import AsyncOpenAI
from pydantic import BaseModel
from report import API_KEY, BASE_URL, IMAGE, MODEL, WORDS, get_weather, run

model = OpenAIResponses(id=MODEL, base_url=BASE_URL, api_key=API_KEY)


class Answer(BaseModel):
    """An answer as data."""

    answer: str


class Talk:
    """A conversation, remembered by the agent's database."""

    def __init__(self, model: OpenAIResponses = model, *, with_history: bool = True) -> None:
        self._agent = Agent(
            model=model, tools=[get_weather], db=InMemoryDb(), add_history_to_context=with_history, telemetry=False
        )

    async def ask(self, words: str) -> str:
        return "".join([text async for text in self._stream(words)])

    async def leave(self, words: str) -> None:
        """Cancel who reads: a stream that is only dropped keeps its connection, and the server does not learn of it."""
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in self._stream(words):
                begun.set()

        reading = asyncio.create_task(read())
        await begun.wait()
        reading.cancel()
        await asyncio.wait([reading])

    async def _stream(self, words: str) -> AsyncIterator[str]:
        async for event in self._agent.arun(words, stream=True, session_id="one"):
            if event.event == "RunContent" and event.content:
                yield event.content
            elif event.event == "RunError":
                raise RuntimeError(event.content)


async def open_conversation() -> Talk:
    async with AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        conversation = await client.conversations.create()
    extra = {"conversation": conversation.id}
    there = OpenAIResponses(id=MODEL, base_url=BASE_URL, api_key=API_KEY, request_params=extra)
    return Talk(there, with_history=False)


async def get_data() -> str:
    run = await Agent(model=model, output_schema=Answer, telemetry=False).arun(WORDS["data"])
    return run.content.answer


async def show_image() -> str:
    image = Image(content=IMAGE, mime_type="image/png", format="png")
    return (await Agent(model=model, telemetry=False).arun(WORDS["look"], images=[image])).content


async def ask_unknown_model() -> str:
    return await Talk(OpenAIResponses(id=WORDS["unknown_model"], base_url=BASE_URL, api_key=API_KEY)).ask(WORDS["fact"])


async def use_wrong_key() -> str:
    return await Talk(OpenAIResponses(id=MODEL, base_url=BASE_URL, api_key=WORDS["wrong_key"])).ask(WORDS["fact"])


run(
    ways={
        "own history": Talk,
        # It chains responses of models whose names it knows to be OpenAI's thinking ones.
        "previous_response_id": lambda: Talk(OpenAIResponses(id=WORDS["alias"], base_url=BASE_URL, api_key=API_KEY)),
        "conversation": open_conversation,
    },
    steps={"data": get_data, "image": show_image, "unknown model": ask_unknown_model, "wrong key": use_wrong_key},
)

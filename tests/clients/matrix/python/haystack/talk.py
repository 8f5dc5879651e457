"""Haystack: an agent with a tool."""

import asyncio
from typing import Any

from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage, ImageContent, StreamingCallbackT, StreamingChunk
from haystack.tools import create_tool_from_function
from haystack.utils import Secret
from openai import AsyncOpenAI
from pydantic import BaseModel
from report import API_KEY, BASE_URL, MODEL, WORDS, get_weather, run

generator = OpenAIResponsesChatGenerator(api_base_url=BASE_URL, api_key=Secret.from_token(API_KEY), model=MODEL)
weather = create_tool_from_function(get_weather)


class Answer(BaseModel):
    """An answer as data."""

    answer: str


class Talk:
    """A conversation that the client remembers; an agent calls the tool."""

    def __init__(self) -> None:
        self._messages: list[ChatMessage] = []
        self._where: dict[str, str] = {}

    async def ask(self, words: str) -> str:
        said: list[str] = []
        agent = Agent(chat_generator=generator, tools=[weather])
        messages = [*self._messages, ChatMessage.from_user(words)]
        self._messages = (await agent.run_async(messages, streaming_callback=collect(said)))["messages"]
        return "".join(said)

    async def leave(self, words: str) -> None:
        begun = asyncio.Event()

        async def show(chunk: StreamingChunk) -> None:
            if chunk.content:
                begun.set()

        messages = [*self._messages, ChatMessage.from_user(words)]
        answering = asyncio.create_task(
            generator.run_async(messages, streaming_callback=show, generation_kwargs=self._where)
        )
        await begun.wait()
        answering.cancel()
        await asyncio.wait([answering])


class RememberedTalk(Talk):
    """A conversation that the server remembers: only what is new is sent."""

    def __init__(self, **where: str) -> None:
        super().__init__()
        self._where = where

    async def ask(self, words: str) -> str:
        said: list[str] = []
        reply = await self._send(ChatMessage.from_user(words), said)
        for call in reply.tool_calls:
            await self._send(ChatMessage.from_tool(weather.invoke(**call.arguments), origin=call), said)
        return "".join(said)

    async def _send(self, message: ChatMessage, said: list[str]) -> ChatMessage:
        result = await generator.run_async(
            [message], streaming_callback=collect(said), tools=[weather], generation_kwargs=self._where
        )
        (reply,) = result["replies"]
        if "conversation" not in self._where:
            self._where = {"previous_response_id": reply.meta["id"]}
        return reply


def collect(said: list[str]) -> StreamingCallbackT:
    async def show(chunk: StreamingChunk) -> None:
        said.append(chunk.content)

    return show


async def open_conversation() -> Talk:
    async with AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        return RememberedTalk(conversation=(await client.conversations.create()).id)


async def ask(generator: OpenAIResponsesChatGenerator, message: ChatMessage, **options: Any) -> str:
    result = await generator.run_async([message], generation_kwargs=options)
    return result["replies"][0].text


async def get_data() -> str:
    said = await ask(generator, ChatMessage.from_user(WORDS["data"]), text_format=Answer)
    return Answer.model_validate_json(said).answer


async def show_image() -> str:
    image = ImageContent.from_dict({"base64_image": WORDS["image_base64"], "mime_type": "image/png"})
    return await ask(generator, ChatMessage.from_user(content_parts=[WORDS["look"], image]))


async def ask_unknown_model() -> str:
    server = {"api_base_url": BASE_URL, "api_key": Secret.from_token(API_KEY)}
    unknown = OpenAIResponsesChatGenerator(model=WORDS["unknown_model"], **server)
    return await ask(unknown, ChatMessage.from_user(WORDS["fact"]))


async def use_wrong_key() -> str:
    key = Secret.from_token(WORDS["wrong_key"])
    wrong = OpenAIResponsesChatGenerator(api_base_url=BASE_URL, api_key=key, model=MODEL)
    return await ask(wrong, ChatMessage.from_user(WORDS["fact"]))


run(
    ways={"own history": Talk, "previous_response_id": RememberedTalk, "conversation": open_conversation},
    steps={"data": get_data, "image": show_image, "unknown model": ask_unknown_model, "wrong key": use_wrong_key},
)

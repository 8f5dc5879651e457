"""Pydantic AI: an agent with a tool."""

from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput

# configuration
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from report import API_KEY, BASE_URL, IMAGE, MODEL, WORDS, get_weather, run

model = OpenAIResponsesModel(MODEL, provider=OpenAIProvider(base_url=BASE_URL, api_key=API_KEY))
# end of configuration

agent = Agent(model, instructions="Be brief.", tools=[get_weather])


class Answer(BaseModel):
    """An answer as data."""

    answer: str


class Talk:
    """A conversation, remembered as the settings say."""

    def __init__(self, **settings: str) -> None:
        self._settings = settings
        self._messages: list[Any] = []

    async def ask(self, words: str) -> str:
        async with agent.run_stream(words, message_history=self._messages, model_settings=self._settings) as result:
            text = "".join([delta async for delta in result.stream_text(delta=True)])
        self._messages = result.all_messages()
        return text

    async def leave(self, words: str) -> None:
        async with agent.run_stream(words, message_history=self._messages, model_settings=self._settings) as result:
            async for _ in result.stream_text(delta=True):
                break


async def open_conversation() -> Talk:
    async with AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        return Talk(openai_conversation_id=(await client.conversations.create()).id)


async def get_data() -> str:
    return (await agent.run(WORDS["data"], output_type=NativeOutput(Answer))).output.answer


async def show_image() -> str:
    return (await agent.run([WORDS["look"], BinaryContent(data=IMAGE, media_type="image/png")])).output


async def ask_unknown_model() -> str:
    unknown = OpenAIResponsesModel(WORDS["unknown_model"], provider=OpenAIProvider(base_url=BASE_URL, api_key=API_KEY))
    return (await agent.run(WORDS["fact"], model=unknown)).output


async def use_wrong_key() -> str:
    provider = OpenAIProvider(base_url=BASE_URL, api_key=WORDS["wrong_key"])
    return (await agent.run(WORDS["fact"], model=OpenAIResponsesModel(MODEL, provider=provider))).output


run(
    ways={
        "own history": Talk,
        "previous_response_id": lambda: Talk(openai_previous_response_id="auto"),
        "conversation": open_conversation,
    },
    steps={
        "data": get_data,
        "image": show_image,
        "unknown model": ask_unknown_model,
        "wrong key": use_wrong_key,
    },
)

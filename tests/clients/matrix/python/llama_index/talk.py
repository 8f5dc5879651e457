"""LlamaIndex: an agent with a tool, and the model alone where the server remembers."""

import asyncio

from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.llms import ChatMessage, ChatResponse, ImageBlock, TextBlock
from llama_index.core.memory import Memory
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses
from openai import AsyncOpenAI
from pydantic import BaseModel
from report import API_KEY, BASE_URL, IMAGE, MODEL, WORDS, get_weather, run

llm = OpenAIResponses(model=MODEL, api_base=BASE_URL, api_key=API_KEY, context_window=128_000)
weather = FunctionTool.from_defaults(get_weather)


class Answer(BaseModel):
    """An answer as data."""

    answer: str


class Talk:
    """A conversation that the agent remembers."""

    def __init__(self) -> None:
        self._agent = FunctionAgent(llm=llm, tools=[weather])
        self._memory = Memory.from_defaults()

    async def ask(self, words: str) -> str:
        handler = self._agent.run(words, memory=self._memory)
        text = "".join([event.delta async for event in handler.stream_events() if isinstance(event, AgentStream)])
        await handler
        return text

    async def leave(self, words: str) -> None:
        handler = self._agent.run(words, memory=self._memory)
        async for event in handler.stream_events():
            if isinstance(event, AgentStream) and event.delta:
                break
        await handler.cancel_run()


class RememberedTalk:
    """A conversation that the server remembers: only what is new is sent."""

    def __init__(self, **options: object) -> None:
        self._llm = OpenAIResponses(
            model=MODEL, api_base=BASE_URL, api_key=API_KEY, context_window=128_000, store=True, **options
        )

    async def ask(self, words: str) -> str:
        text, call = await self._send(ChatMessage(words, role="user"))
        for each in self._llm.get_tool_calls_from_response(call, error_on_no_tool_call=False):
            result = ChatMessage(
                str(weather(**each.tool_kwargs)), role="tool", additional_kwargs={"call_id": each.tool_id}
            )
            text += (await self._send(result))[0]
        return text

    async def leave(self, words: str) -> None:
        """Cancel who reads: a stream that is only dropped keeps its connection, and the server does not learn of it."""
        begun = asyncio.Event()

        async def read() -> None:
            async for part in await self._llm.astream_chat([ChatMessage(words, role="user")]):
                if part.delta:
                    begun.set()

        reading = asyncio.create_task(read())
        await begun.wait()
        reading.cancel()
        await asyncio.wait([reading])

    async def _send(self, message: ChatMessage) -> tuple[str, ChatResponse]:
        parts = [part async for part in await self._llm.astream_chat_with_tools([weather], chat_history=[message])]
        return "".join(part.delta or "" for part in parts), parts[-1]


async def open_conversation() -> RememberedTalk:
    async with AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        return RememberedTalk(additional_kwargs={"conversation": (await client.conversations.create()).id})


async def get_data() -> str:
    return (await llm.as_structured_llm(Answer).acomplete(WORDS["data"])).raw.answer


async def show_image() -> str:
    blocks = [TextBlock(text=WORDS["look"]), ImageBlock(image=IMAGE, image_mimetype="image/png")]
    return (await llm.achat([ChatMessage(blocks=blocks, role="user")])).message.content


async def ask_unknown_model() -> str:
    unknown = OpenAIResponses(
        model=WORDS["unknown_model"], api_base=BASE_URL, api_key=API_KEY, context_window=128_000, max_retries=0
    )
    return str(await unknown.acomplete(WORDS["fact"]))


async def use_wrong_key() -> str:
    wrong = OpenAIResponses(
        model=MODEL, api_base=BASE_URL, api_key=WORDS["wrong_key"], context_window=128_000, max_retries=0
    )
    return str(await wrong.acomplete(WORDS["fact"]))


run(
    ways={
        "own history": Talk,
        "previous_response_id": lambda: RememberedTalk(track_previous_responses=True),
        "conversation": open_conversation,
    },
    steps={"data": get_data, "image": show_image, "unknown model": ask_unknown_model, "wrong key": use_wrong_key},
)

"""LiteLLM as a client: its `aresponses`, and its `acompletion` over the Responses API."""

import json
from typing import Any

import litellm
from openai import AsyncOpenAI
from pydantic import BaseModel
from report import API_KEY, BASE_URL, MODEL, WORDS, get_weather, run

server = {"model": f"openai/{MODEL}", "api_base": BASE_URL, "api_key": API_KEY}
litellm.register_model({MODEL: {"litellm_provider": "openai", "mode": "responses", "supports_native_streaming": True}})
completions = {"model": f"openai/responses/{MODEL}", "api_base": BASE_URL, "api_key": API_KEY}

WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Answer(BaseModel):
    """An answer as data."""

    answer: str


class Talk:
    """A conversation by `aresponses`: what is sent, and where it belongs."""

    def __init__(self, **where: Any) -> None:
        self._where = where
        self._chained = "previous_response_id" in where
        self._items: list[Any] = []

    async def ask(self, words: str) -> str:
        text, response = await self._send({"role": "user", "content": words})
        for item in response.output:
            if item.type == "function_call":
                result = get_weather(**json.loads(item.arguments))
                output = {"type": "function_call_output", "call_id": item.call_id, "output": result}
                text += (await self._send(output))[0]
        return text

    async def leave(self, words: str) -> None:
        stream = await self._open({"role": "user", "content": words})
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.aclose()

    async def _open(self, item: dict[str, str]) -> Any:
        given = [item] if self._where else [*self._items, item]
        return await litellm.aresponses(
            input=given, tools=[{"type": "function", **WEATHER}], stream=True, **server, **self._where
        )

    async def _send(self, item: dict[str, str]) -> tuple[str, Any]:
        text = ""
        async for event in await self._open(item):
            if event.type == "response.output_text.delta":
                text += event.delta
        response = event.response
        self._items += [item, *(each.model_dump(exclude_none=True) for each in response.output)]
        if self._chained:
            self._where = {"previous_response_id": response.id}
        return text, response


class CompletionsTalk:
    """A conversation by `acompletion`, whose messages the client keeps."""

    def __init__(self) -> None:
        self._messages: list[Any] = []

    async def ask(self, words: str) -> str:
        text, message = await self._send({"role": "user", "content": words})
        for call in message.tool_calls or []:
            result = get_weather(**json.loads(call.function.arguments))
            text += (await self._send({"role": "tool", "tool_call_id": call.id, "content": result}))[0]
        return text

    async def leave(self, words: str) -> None:
        stream = await self._open([*self._messages, {"role": "user", "content": words}])
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.aclose()

    async def _open(self, messages: list[Any]) -> Any:
        tools = [{"type": "function", "function": WEATHER}]
        return await litellm.acompletion(messages=messages, tools=tools, stream=True, **completions)

    async def _send(self, message: dict[str, str]) -> tuple[str, Any]:
        self._messages.append(message)
        chunks = [chunk async for chunk in await self._open(self._messages)]
        answer = litellm.stream_chunk_builder(chunks, messages=self._messages).choices[0].message
        self._messages.append(answer.model_dump())
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks), answer


async def open_conversation() -> Talk:
    async with AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        return Talk(extra_body={"conversation": (await client.conversations.create()).id})


async def ask(**request: Any) -> str:
    response = await litellm.aresponses(**{**server, **request})
    return response.output[-1].content[0].text


async def get_data() -> str:
    return Answer.model_validate_json(await ask(input=WORDS["data"], text_format=Answer)).answer


async def show_image() -> str:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{WORDS['image_base64']}", "detail": "auto"}
    content = [{"type": "input_text", "text": WORDS["look"]}, image]
    return await ask(input=[{"role": "user", "content": content}])


run(
    ways={
        "own history": Talk,
        "own history, as completions": CompletionsTalk,
        "previous_response_id": lambda: Talk(previous_response_id=None),
        "conversation": open_conversation,
    },
    steps={
        "data": get_data,
        "image": show_image,
        "unknown model": lambda: ask(input=WORDS["fact"], model=f"openai/{WORDS['unknown_model']}"),
        "wrong key": lambda: ask(input=WORDS["fact"], api_key=WORDS["wrong_key"]),
    },
)

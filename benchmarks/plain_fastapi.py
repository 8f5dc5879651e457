"""The same turn in a plain implementation: FastAPI, pydantic, redis-py and the OpenAI SDK's typed stream.

It is meant to be good, ordinary code: asynchronous, one client and one connection pool a process, one pipeline where
one is enough, a history cut to the same budget. It leaves out what the service is for. Nothing is written before the
client sees it, so a run dies with its process and no second reader can follow it. Two turns of a conversation can
interleave. A retry is a second turn.
"""

import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from openai import AsyncOpenAI, OpenAIError
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, Field
from redis.asyncio import Redis

API_KEYS = "plain:api_keys"
RETENTION_S = 30 * 24 * 3600
# The same history budget as the service's HISTORY_TOKENS, by the same estimate. At most MAX_HISTORY_MESSAGES are read:
# more never fit in practice.
HISTORY_TOKENS = 8_000
MAX_HISTORY_MESSAGES = 100
CHARACTERS_A_TOKEN = 4
TOKENS_A_MESSAGE = 4


class InputMessage(BaseModel):
    role: Literal["user", "assistant", "system", "developer"]
    content: str


class CreateResponse(BaseModel):
    """The body of `POST /v1/responses`."""

    input: str | list[InputMessage]
    conversation: str
    model: str = "stand-in"
    instructions: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    stream: Literal[True] = True


class OutputText(BaseModel):
    type: Literal["output_text"] = "output_text"
    text: str = ""
    annotations: list[Any] = []
    logprobs: list[Any] = []


class OutputMessage(BaseModel):
    """The only item of an answer."""

    type: Literal["message"] = "message"
    id: str
    status: str = "in_progress"
    role: Literal["assistant"] = "assistant"
    content: list[OutputText] = []


class Usage(BaseModel):
    """The tokens that the model reported."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: dict[str, int] = {"cached_tokens": 0}
    output_tokens_details: dict[str, int] = {"reasoning_tokens": 0}


class ResponseBody(BaseModel):
    """The response object. Every key is always present."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: str = "in_progress"
    incomplete_details: None = None
    model: str
    previous_response_id: None = None
    instructions: str | None = None
    output: list[OutputMessage] = []
    error: dict[str, str] | None = None
    tools: list[Any] = []
    tool_choice: str = "auto"
    truncation: str = "disabled"
    parallel_tool_calls: bool = True
    text: dict[str, Any] = {"format": {"type": "text"}}
    top_p: float
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int = 0
    temperature: float
    reasoning: None = None
    usage: Usage | None = None
    max_output_tokens: int | None = None
    max_tool_calls: None = None
    store: bool = True
    background: bool = False
    service_tier: str = "default"
    metadata: dict[str, str] = {}
    safety_identifier: None = None
    prompt_cache_key: None = None
    conversation: dict[str, str]


@asynccontextmanager
async def open_clients(app: FastAPI) -> AsyncIterator[None]:
    """Open one Redis pool and one client of the model for the process."""
    app.state.redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    async with AsyncOpenAI() as app.state.openai:  # OPENAI_BASE_URL and OPENAI_API_KEY
        yield
    await app.state.redis.aclose()


app = FastAPI(lifespan=open_clients)


async def get_redis(request: Request) -> Redis:  # FastAPI would call a `def` in a thread
    redis: Redis = request.app.state.redis
    return redis


async def get_openai(request: Request) -> AsyncOpenAI:
    openai: AsyncOpenAI = request.app.state.openai
    return openai


RedisClient = Annotated[Redis, Depends(get_redis)]
Model = Annotated[AsyncOpenAI, Depends(get_openai)]
Credentials = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


def hash_key(key: str) -> str:
    """The form in which an API key is stored."""
    return hashlib.sha256(key.encode()).hexdigest()


async def get_owner(credentials: Credentials, redis: RedisClient) -> str:
    """The owner of the request's key."""
    owner = await redis.hget(API_KEYS, hash_key(credentials.credentials))
    if owner is None:
        raise HTTPException(401, "Incorrect API key provided.")
    return str(owner)


Owner = Annotated[str, Depends(get_owner)]


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/conversations")
async def create_conversation(owner: Owner, redis: RedisClient) -> dict[str, Any]:
    conversation = {"id": f"conv_{uuid4().hex}", "object": "conversation", "created_at": int(time.time())}
    await redis.set(f"plain:{owner}:conv:{conversation['id']}", json.dumps(conversation), ex=RETENTION_S)
    return conversation


@app.get("/v1/responses/{response_id}")
async def get_response(response_id: str, owner: Owner, redis: RedisClient) -> Response:
    """The stored response."""
    stored = await redis.get(f"plain:{owner}:resp:{response_id}")
    if stored is None:
        raise HTTPException(404, "Response not found.")
    return Response(stored, media_type="application/json")


@app.post("/v1/responses")
async def create_response(body: CreateResponse, owner: Owner, redis: RedisClient, model: Model) -> StreamingResponse:
    """Ask the model and stream its answer."""
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.exists(f"plain:{owner}:conv:{body.conversation}")
        pipeline.lrange(f"plain:{owner}:items:{body.conversation}", -MAX_HISTORY_MESSAGES, -1)
        is_known, stored = await pipeline.execute()
    if not is_known:
        raise HTTPException(404, "Conversation not found.")
    history = cut_history([json.loads(message) for message in stored])
    return StreamingResponse(
        answer(body, history, owner=owner, redis=redis, model=model),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache"},
    )


def cut_history(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The newest messages that fit into the budget."""
    spent = 0
    for index in range(len(messages) - 1, -1, -1):
        spent += TOKENS_A_MESSAGE + len(messages[index]["content"]) // CHARACTERS_A_TOKEN
        if spent > HISTORY_TOKENS:
            return messages[index + 1 :]
    return messages


def read_input(body: CreateResponse) -> list[dict[str, str]]:
    """The new messages of a request."""
    if isinstance(body.input, str):
        return [{"role": "user", "content": body.input}]
    return [message.model_dump() for message in body.input]


class Events:
    """Writes the events of one stream, numbered from 0."""

    def __init__(self) -> None:
        self._number = 0

    def frame(self, name: str, **fields: Any) -> str:
        """The next event as bytes on the wire."""
        data = json.dumps({"type": name, "sequence_number": self._number, **fields})
        self._number += 1
        return f"event: {name}\ndata: {data}\n\n"


async def answer(
    body: CreateResponse, history: list[dict[str, str]], *, owner: str, redis: Redis, model: AsyncOpenAI
) -> AsyncIterator[str]:
    """The events of a whole turn. Conversation and response are stored before the last event."""
    events, text, usage = Events(), "", None
    response = begin_response(body)
    item = OutputMessage(id=f"msg_{uuid4().hex}")
    place = {"item_id": item.id, "output_index": 0, "content_index": 0}
    new_messages = read_input(body)
    yield events.frame("response.created", response=response.model_dump())
    yield events.frame("response.in_progress", response=response.model_dump())
    yield events.frame("response.output_item.added", output_index=0, item=item.model_dump())
    yield events.frame("response.content_part.added", **place, part=OutputText().model_dump())
    try:
        async for delta, reported in ask(model, body, [*history, *new_messages]):
            usage = reported or usage
            if delta:
                text += delta
                yield events.frame("response.output_text.delta", **place, delta=delta, logprobs=[])
    except OpenAIError:
        response.status, response.error = "failed", {"code": "upstream_error", "message": "The model failed."}
        yield events.frame("response.failed", response=response.model_dump())
        return
    part = OutputText(text=text)
    item.status, item.content = "completed", [part]
    end_response(response, item, usage)
    yield events.frame("response.output_text.done", **place, text=text, logprobs=[])
    yield events.frame("response.content_part.done", **place, part=part.model_dump())
    yield events.frame("response.output_item.done", output_index=0, item=item.model_dump())
    await save(redis, owner, response, [*new_messages, {"role": "assistant", "content": text}])
    yield events.frame("response.completed", response=response.model_dump())
    yield "data: [DONE]\n\n"


async def ask(
    model: AsyncOpenAI, body: CreateResponse, messages: list[dict[str, str]]
) -> AsyncIterator[tuple[str | None, CompletionUsage | None]]:
    """The model's text and usage, chunk by chunk. Raises OpenAIError."""
    system = [{"role": "system", "content": body.instructions}] if body.instructions else []
    conversation: list[ChatCompletionMessageParam] = [*system, *messages]  # type: ignore[list-item]  # roles are checked
    stream = await model.chat.completions.create(
        model=body.model,
        messages=conversation,
        temperature=body.temperature,
        top_p=body.top_p,
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        yield chunk.choices[0].delta.content if chunk.choices else None, chunk.usage


def begin_response(body: CreateResponse) -> ResponseBody:
    """The response before the model has begun."""
    return ResponseBody(
        id=f"resp_{uuid4().hex}",
        created_at=int(time.time()),
        model=body.model,
        instructions=body.instructions,
        temperature=body.temperature,
        top_p=body.top_p,
        max_output_tokens=body.max_output_tokens,
        metadata=body.metadata,
        conversation={"id": body.conversation},
    )


def end_response(response: ResponseBody, item: OutputMessage, usage: CompletionUsage | None) -> None:
    """Fill in the output and the usage."""
    response.status, response.completed_at, response.output = "completed", int(time.time()), [item]
    if usage is not None:
        response.usage = Usage(
            input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=usage.total_tokens
        )


async def save(redis: Redis, owner: str, response: ResponseBody, messages: list[dict[str, str]]) -> None:
    """Store the turn's messages and its response in one round trip."""
    items_key = f"plain:{owner}:items:{response.conversation['id']}"
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.rpush(items_key, *map(json.dumps, messages))
        pipeline.expire(items_key, RETENTION_S)
        pipeline.set(f"plain:{owner}:resp:{response.id}", response.model_dump_json(), ex=RETENTION_S)
        await pipeline.execute()

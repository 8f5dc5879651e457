"""A model's server as a probe sees it: asked in its own words, or through the adapter that serves turns."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx2
import openai
from openai import AsyncOpenAI

from prompts.adapters.openai.errors import translated_errors
from prompts.adapters.openai.model import OpenAIModel
from prompts.domain.items import InputText, Message
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Argued, Called, Finished, Text
from prompts.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class Told:
    """What the server answered: a status, and a body that is JSON, or nothing."""

    status: int
    body: Any

    @property
    def is_taken(self) -> bool:
        """Whether it did what it was asked."""
        return self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def message(self) -> Mapping[str, Any]:
        """The message of a whole answer; empty when there is none."""
        match self.body:
            case {"choices": [{"message": dict() as message}, *_]}:
                return message
        return {}

    @property
    def text(self) -> str:
        """What it says."""
        said = self.message.get("content")
        return said if isinstance(said, str) else ""

    @property
    def finish_reason(self) -> str | None:
        """Why it ended."""
        match self.body:
            case {"choices": [{"finish_reason": str(reason)}, *_]}:
                return reason
        return None


@dataclass(slots=True)
class Turn:
    """A streamed turn, as the service would experience it."""

    text: str = ""
    calls: list[list[str]] = field(default_factory=list)
    """Name and arguments of each."""
    reason: str | None = None
    usage: Usage | None = None


class ProbedServer:
    """One model at a server."""

    def __init__(self, client: AsyncOpenAI, model: str) -> None:
        self._client = client.with_options(max_retries=0)
        self.model = model

    async def ask(self, messages: Sequence[Mapping[str, Any]], **fields: Any) -> Told:
        """A whole Chat Completion. Raises UpstreamError, UpstreamTimeout where there is no answer at all."""
        body = {"model": self.model, "messages": messages, **fields}
        return await self._send("POST", "/chat/completions", body)

    async def list_models(self) -> Told:
        """The answer to GET /models."""
        return await self._send("GET", "/models", None)

    async def _send(self, method: str, path: str, body: Any) -> Told:
        with translated_errors():
            try:
                send = self._client.get if method == "GET" else self._client.post
                arguments = {} if body is None else {"body": body}
                response = await send(path, cast_to=httpx2.Response, **arguments)
            except openai.APIStatusError as refused:
                response = refused.response
        return Told(response.status_code, _read(response.content))


async def stream_turn(model: OpenAIModel, name: str, question: str, **asked: Any) -> Turn:
    """One turn through the adapter. Raises a ServiceError."""
    items = [Message(id="", status="completed", role="user", content=[InputText(question)])]
    turn = Turn()
    async with model.stream(ModelRequest(model=name, **asked), items) as answer:
        async for signals in answer:
            for signal in signals:
                match signal:
                    case Text(said):
                        turn.text += said
                    case Called(name=called):
                        turn.calls.append([called, ""])
                    case Argued(text=argument):
                        turn.calls[-1][1] += argument
                    case Finished(reason, usage):
                        turn.reason, turn.usage = reason, usage
    return turn


def _read(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None

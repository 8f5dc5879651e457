"""Which models a server has, asked once a minute, and under which names they are known here.

Protocol: https://platform.openai.com/docs/api-reference/models/list
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec
import structlog
from msgspec.structs import replace
from openai import AsyncOpenAI, AsyncStream

from prompts.adapters.openai.bodies import open_body
from prompts.adapters.openai.errors import translated_errors
from prompts.domain.model_request import Model
from prompts.errors import ServiceError

log = structlog.get_logger(__name__)

# How long the list of models holds, and how soon a server that could not give it is asked again.
MODELS_AGE_S = 60.0
MODELS_RETRY_S = 5.0
# For a server that has just failed to give it; enough where it is back.
SHORT_WAIT_S = 0.25
# OpenRouter's list is the longest we know: about 400 models, 1 MB.
MAX_LIST_BYTES = 4 * 1024 * 1024
MAX_MODELS = 5_000
MAX_ID_CHARACTERS = 256
# The last second that every client can show: the year 9999.
MAX_TIME_S = 253_402_300_799
UNKNOWN_OWNER = "unknown"
# Ollama lists `llama3.2:latest` for what everybody calls `llama3.2`; Gemini `models/gemini-…`.
_USUAL_TAG = ":latest"
_PREFIX = "models/"


class ListedModel(msgspec.Struct):
    """One entry; servers differ in everything but the id."""

    id: Any = None
    created: Any = None
    owned_by: Any = None


class ModelList(msgspec.Struct):
    """The answer to GET /models."""

    data: list[ListedModel] | None = None


decode_models = msgspec.json.Decoder(ModelList).decode


class KnownModels:
    """The models of one server. While it cannot say, what it said last holds."""

    def __init__(self, client: AsyncOpenAI, *, within_s: float, aliases: Mapping[str, str]) -> None:
        """`within_s`: how long the server may take to say. `aliases`: names of ours, and the server's ids."""
        self._client = client
        self._within_s = within_s
        self._aliases = aliases
        self._models: Sequence[Model] = ()
        self._ids: Mapping[str, str] = aliases
        """Every name that a model is known under, and its listed id."""
        self._models_until = 0.0
        self._refreshing: asyncio.Task[None] | None = None
        self._has_answered = True
        """Whether the server gave its list when it was asked last, or was not asked yet."""

    async def list(self) -> Sequence[Model]:
        """The models, at most a minute old; empty when the server never listed any.

        Whoever finds the list too old waits for the next one, and so do all while there is none. After a failure nobody
        waits for long until the server has answered again: one that is slow to say must not delay every turn.
        """
        is_old = time.monotonic() > self._models_until and self._refreshing is None
        if is_old:
            self._refreshing = asyncio.create_task(self._refresh())
        if self._refreshing is not None and (is_old or not self._models):
            await asyncio.wait({self._refreshing}, timeout=None if self._has_answered else SHORT_WAIT_S)
        return self._models

    def resolve(self, name: str) -> str:
        """The server's id of a model; a name that is not known here is left to the server."""
        return self._ids.get(name, name)

    async def _refresh(self) -> None:
        is_known = False
        try:
            async with asyncio.timeout(self._within_s):
                with translated_errors():
                    listed = decode_models(await self._get()).data or ()
            self._take([_as_model(entry) for entry in listed[:MAX_MODELS] if _has_id(entry)])
            is_known = True
        except (TimeoutError, ServiceError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            log.warning("models_unknown", reason=type(exc).__name__)
        finally:
            self._models_until = time.monotonic() + (MODELS_AGE_S if is_known else MODELS_RETRY_S)
            self._has_answered, self._refreshing = is_known, None

    async def _get(self) -> bytes:
        """The list as it comes, as far as it may go."""
        response: httpx2.Response = await self._client.get(
            "/models",
            cast_to=httpx2.Response,
            options={"follow_redirects": False},
            stream=True,
            stream_cls=AsyncStream[Any],
        )  # type: ignore[assignment]  # with cast_to a Response, the client hands out the raw one
        body = bytearray()
        try:
            async with aclosing(open_body(response)) as parts:
                async for data in parts:
                    body += data
                    if len(body) > MAX_LIST_BYTES:
                        raise msgspec.DecodeError("the list of models is too long")
        finally:
            await response.aclose()
        return bytes(body)

    def _take(self, listed: Sequence[Model]) -> None:
        """Each model under its listed id, its short names and our own for it; a listed id is never another's name."""
        if not listed:
            self._models, self._ids = (), self._aliases
            return
        models = {model.id: model for model in listed}
        ids = {model.id: model.id for model in listed}
        for model in listed:
            if (name := _shorten(model.id)) and name not in ids:
                ids[name], models[name] = model.id, replace(model, id=name)
        for name, target in self._aliases.items():
            ids[name] = ids.get(target, target)
            models[name] = replace(models.get(target, Model(id=name)), id=name)
        self._models, self._ids = list(models.values()), ids


def _shorten(listed_id: str) -> str:
    return listed_id.removeprefix(_PREFIX).removesuffix(_USUAL_TAG)


def _has_id(entry: ListedModel) -> bool:
    return _is_name(entry.id)


def _as_model(listed: ListedModel) -> Model:
    """The model; a time or an owner that is none is not told."""
    is_time = type(listed.created) is int and 0 <= listed.created <= MAX_TIME_S
    owner = listed.owned_by if _is_name(listed.owned_by) else UNKNOWN_OWNER
    return Model(id=listed.id, created=listed.created if is_time else 0, owned_by=owner)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS and value.isprintable()

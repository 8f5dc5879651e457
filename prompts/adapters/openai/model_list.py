"""Which models a server has: asked once a minute.

Protocol: https://platform.openai.com/docs/api-reference/models/list
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import httpx2
import msgspec
import structlog
from openai import AsyncOpenAI

from prompts.adapters.openai.errors import translated_errors
from prompts.domain.model_request import Model
from prompts.errors import ServiceError

log = structlog.get_logger(__name__)

# How long the list of models holds, and how soon a server that could not give it is asked again.
MODELS_AGE_S = 60.0
MODELS_RETRY_S = 5.0


class ListedModel(msgspec.Struct):
    """One entry; servers differ in everything but the id."""

    id: str
    created: Any = None
    owned_by: Any = None


class ModelList(msgspec.Struct):
    """The answer to GET /models."""

    data: list[ListedModel] | None = None


decode_models = msgspec.json.Decoder(ModelList).decode


class KnownModels:
    """The models of one server. While it cannot say, what it said last holds."""

    def __init__(self, client: AsyncOpenAI, *, within_s: float) -> None:
        """`within_s`: how long the server may take to say."""
        self._client = client
        self._within_s = within_s
        self._models: Sequence[Model] = ()
        self._models_until = 0.0
        self._asking = asyncio.Lock()

    async def list(self) -> Sequence[Model]:
        """They, at most a minute old; none when the server never said."""
        if time.monotonic() > self._models_until and not (self._models and self._asking.locked()):
            async with self._asking:
                if time.monotonic() > self._models_until:
                    await self._refresh()
        return self._models

    async def _refresh(self) -> None:
        age_s = MODELS_AGE_S
        try:
            async with asyncio.timeout(self._within_s):
                with translated_errors():
                    answer = await self._client.get("/models", cast_to=httpx2.Response)
            self._models = [_as_model(listed) for listed in decode_models(answer.content).data or ()]
        except (TimeoutError, ServiceError, msgspec.DecodeError) as exc:
            age_s = MODELS_RETRY_S
            log.warning("models_unknown", reason=type(exc).__name__)
        self._models_until = time.monotonic() + age_s


def _as_model(listed: ListedModel) -> Model:
    created = listed.created if isinstance(listed.created, int) else 0
    return Model(id=listed.id, created=created, owned_by=str(listed.owned_by or "unknown"))

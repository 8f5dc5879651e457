"""Requests handed on to the model's server as they are, and its answers as they come."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus

import httpx2
import openai
import structlog
from openai import AsyncOpenAI

from prompts.adapters.openai.errors import find_server_words, has_no_answer, translated_errors
from prompts.adapters.openai.http_client import post
from prompts.adapters.openai.model_list import KnownModels
from prompts.adapters.openai.relayed_answer import OpenAIAnswer, open_answer, read_content_type, too_slow
from prompts.adapters.openai.relayed_refusals import Secrets, compose_refusal
from prompts.adapters.openai.server_words import mask_keys
from prompts.adapters.openai.streams import Patience
from prompts.errors import ServiceError, UpstreamError, UpstreamTimeout
from prompts.ports.relay import RelayPath

log = structlog.get_logger(__name__)

# What HTTP knows; anything above is no status that could be told.
REFUSALS = range(300, 600)


class OpenAIRelay:
    """`Relay` over the official client's low-level `post`; the client is closed by whoever made it."""

    def __init__(self, client: AsyncOpenAI, patience: Patience, models: KnownModels) -> None:
        self._client = client.with_options(max_retries=0)
        self._patience = patience
        self._models = models
        self._secrets = Secrets(api_key=client.api_key, base_url=str(client.base_url))
        self._timeout = httpx2.Timeout(None, connect=patience.connect_s, pool=patience.connect_s)

    def resolve(self, model: str) -> str:
        """See `Relay.resolve`."""
        return self._models.resolve(model)

    @asynccontextmanager
    async def open(
        self, path: RelayPath, body: bytes, *, is_stream: bool, quiet_s: float
    ) -> AsyncGenerator[OpenAIAnswer, None]:
        """See `Relay.open`."""
        deadline = time.monotonic() + self._patience.first_token_s
        response = await self._ask(path, body, deadline)
        if isinstance(response, OpenAIAnswer):
            yield response
            return
        try:
            content_type = read_content_type(response.headers.get("content-type"), is_stream=is_stream)
            answer = OpenAIAnswer(HTTPStatus.OK, content_type)  # a 204 would have no body
            async with aclosing(open_answer(response, self._patience, deadline, quiet_s)) as parts:
                await answer.begin(parts)
                yield answer
        finally:
            await response.aclose()

    async def _ask(self, path: RelayPath, body: bytes, deadline: float) -> httpx2.Response | OpenAIAnswer:
        """The head of the answer, or all of a refusal that may be told."""
        try:
            return await self._post_twice(path, body, deadline)
        except ServiceError as error:
            told = find_server_words(error)
            # Logged here, not where it is handled: the server's own words may go no further up.
            log_failure = log.warning if isinstance(error, (UpstreamError, UpstreamTimeout)) else log.info
            log_failure("relay_refused", code=error.code, told=mask_keys(told.words) if told else None)
            refused = error.__cause__
            if told is None or not isinstance(refused, openai.APIStatusError) or refused.status_code not in REFUSALS:
                raise
            refusal = compose_refusal(refused, error, self._secrets)
            return OpenAIAnswer(refused.status_code, "application/json", error, told.retry_after_s, whole=refusal)

    async def _post_twice(self, path: RelayPath, body: bytes, deadline: float) -> httpx2.Response:
        """The head. Once more, at once, where the connection lay in the pool and was closed meanwhile."""
        try:
            return await self._post(path, body, deadline)
        except UpstreamError as error:
            if not has_no_answer(error):
                raise
        return await self._post(path, body, deadline)

    async def _post(self, path: RelayPath, body: bytes, deadline: float) -> httpx2.Response:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                with translated_errors():
                    return await post(self._client, path, limits=self._timeout, content=body)
        except TimeoutError:
            raise too_slow(self._patience.first_token_s) from None

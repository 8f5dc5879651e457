"""Vectors of texts, from the model's server.

Protocol: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TypeGuard

import httpx2
from openai import AsyncOpenAI

from prompts.adapters.openai.errors import translated_errors
from prompts.errors import UpstreamError

# OpenAI's models take 8,191 tokens of a text: a token has three bytes at least in nearly every language.
MAX_TEXT_BYTES = 24_000
# OpenAI takes 2,048 texts and 300,000 tokens; small servers hold a request's texts in memory at once.
MAX_BATCH_TEXTS = 64
MAX_BATCH_BYTES = 200_000


class OpenAIEmbedder:
    """`Embedder` over the official client, which tries again itself; whoever made it closes it."""

    def __init__(self, client: AsyncOpenAI, *, model: str, connect_s: float, answer_s: float) -> None:
        """`answer_s` is for one request."""
        self._client = client.with_options(timeout=httpx2.Timeout(answer_s, connect=connect_s))
        self._model = model

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See `Embedder.embed`. Of a text that is too long for a model, the beginning counts."""
        vectors: list[list[float]] = []
        for batch in _cut([_shorten(text) for text in texts]):
            vectors += await self._ask(batch)
        if len({len(vector) for vector in vectors}) > 1:
            raise UpstreamError("The model's server gives vectors of several lengths.", is_final=True)
        return vectors

    async def _ask(self, texts: Sequence[str]) -> list[list[float]]:
        try:
            with translated_errors():
                # Asked for as base64, which is a quarter as long; a server that sends numbers is understood too.
                answer = await self._client.embeddings.create(model=self._model, input=list(texts))
            found = {entry.index: entry.embedding for entry in answer.data}
        except (ValueError, TypeError, AttributeError, OverflowError) as exc:  # of an answer that is none
            raise _no_vectors() from exc
        vectors = [vector for index in range(len(texts)) if _is_vector(vector := found.get(index))]
        if len(vectors) < len(texts):
            raise _no_vectors()
        return vectors


def _no_vectors() -> UpstreamError:
    return UpstreamError("The model's server does not give a vector for each text.", is_final=True)


def _is_vector(vector: object) -> TypeGuard[list[float]]:
    if not isinstance(vector, list) or not vector:
        return False
    return all(isinstance(number, (int, float)) and isfinite(number) for number in vector)


def _cut(texts: Sequence[str]) -> Iterator[list[str]]:
    """Batches within both limits, in order."""
    batch: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode())
        if batch and (len(batch) == MAX_BATCH_TEXTS or size + length > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


def _shorten(text: str) -> str:
    """What JSON can say of it, and not nothing: servers refuse an empty text."""
    return text.encode("utf-8", "replace")[:MAX_TEXT_BYTES].decode("utf-8", "ignore") or " "

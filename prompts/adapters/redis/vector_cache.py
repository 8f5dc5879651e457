"""Vectors that were asked for a while ago: the same question again, a file put again after its replica was lost.

They stand beside the conversations, so they have a number of places, and no more: a text takes the place of another.
"""

import asyncio
import hashlib
from array import array
from collections.abc import Iterator, Sequence
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from prompts.adapters.redis import keys
from prompts.ports.embedder import Embedder

log = structlog.get_logger(__name__)

T = TypeVar("T")

# A vector has 6 kB (1,536 numbers): this is a megabyte or two in one round trip.
MAX_PIPELINED = 256
# A longer vector is not kept: it would make the places large.
MAX_NUMBERS = 4_096
# Beside the model's server a cache must be quick, or be done without.
MAX_WAIT_S = 0.5


class CachedEmbedder:
    """`Embedder` before another one. A cache that fails or is slow is as good as empty."""

    def __init__(self, embedder: Embedder, redis: Redis, *, model: str, kept_s: int) -> None:
        """`kept_s`: how long a vector is kept."""
        self._embedder = embedder
        self._redis = redis
        self._model = model
        self._kept_s = kept_s

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See `Embedder.embed`."""
        found = await self._find(texts)
        missing = [text for text, vector in zip(texts, found, strict=True) if vector is None]
        fresh = await self._embedder.embed(missing) if missing else []
        if len({len(vector) for vector in (*found, *fresh) if vector is not None}) > 1:
            # Another model answers under the name by now.
            missing, fresh = list(texts), await self._embedder.embed(texts)
            found = [None] * len(texts)
        if missing:
            await self._keep(missing, fresh)
        new = iter(fresh)
        return [next(new) if vector is None else vector for vector in found]

    async def _find(self, texts: Sequence[str]) -> list[Sequence[float] | None]:
        found: list[Sequence[float] | None] = []
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                for some in _slice(texts):
                    digests = [name_vector(self._model, text) for text in some]
                    pipeline = self._redis.pipeline(transaction=False)
                    for digest in digests:
                        pipeline.get(keys.vector(digest))
                    packed = await pipeline.execute()
                    found += map(_unpack, digests, packed)
        except (RedisError, OSError, TimeoutError) as exc:
            log.warning("vector_cache_failed", reason=type(exc).__name__)
        return found + [None] * (len(texts) - len(found))

    async def _keep(self, texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> None:
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                for some in _slice(list(zip(texts, vectors, strict=True))):
                    pipeline = self._redis.pipeline(transaction=False)
                    for text, vector in some:
                        digest = name_vector(self._model, text)
                        if len(vector) <= MAX_NUMBERS:
                            packed = digest + array("f", vector).tobytes()
                            pipeline.set(keys.vector(digest), packed, ex=self._kept_s)
                    await pipeline.execute()
        except (RedisError, OSError, TimeoutError, OverflowError) as exc:
            log.warning("vector_cache_failed", reason=type(exc).__name__)


def name_vector(model: str, text: str) -> bytes:
    """What tells the vector of a text by a model from all others."""
    return hashlib.sha256(f"{model}\0{text}".encode("utf-8", "surrogatepass")).digest()


def _unpack(digest: bytes, packed: bytes | None) -> Sequence[float] | None:
    """None for what another text has left there, and for what is no vector."""
    if packed is None or not packed.startswith(digest):
        return None
    numbers = packed.removeprefix(digest)
    return array("f", numbers) if numbers and len(numbers) % 4 == 0 else None


def _slice(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), MAX_PIPELINED):
        yield values[start : start + MAX_PIPELINED]

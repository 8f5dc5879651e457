"""Embeddings from hashed words and trigrams: texts with the same words are near each other.

There is no model behind it: synonyms are not near each other. Equal texts have equal vectors in every process.
"""

import base64
import math
import re
import struct
import zlib
from collections import Counter
from typing import Annotated, Any, Literal

import msgspec

from standin.control.directives import strip_directives
from standin.errors import StandInError
from standin.json_body import decode_body
from standin.tokens import count_tokens

_DIMENSIONS = 256  # enough for a few hundred different words
_TRIGRAM_WEIGHT = 0.3  # of a word's weight: "refund" and "refunds" are near, but a word counts more
_WORD = re.compile(r"\w+")
_SIGN_BIT = 1 << 31  # a bit of the hash that the index does not use


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/embeddings`. Token ids are accepted as texts, because some SDKs send them."""

    model: str
    input: str | Annotated[list[str | int | list[int]], msgspec.Meta(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None


def decode_embedding(body: bytes) -> EmbeddingRequest:
    """The request in a body. Raises a 400 that names the field."""
    return decode_body(body, EmbeddingRequest)


def compose_embeddings(request: EmbeddingRequest) -> dict[str, Any]:
    """The answer to an embedding request. Raises a 400 for an empty text."""
    texts = [strip_directives(text) for text in _list_texts(request)]
    if not all(texts):
        raise StandInError(400, "An input must not be empty.", code="invalid_value", param="input")
    vectors = [embed(text, request.dimensions or _DIMENSIONS) for text in texts]
    data = [
        {"object": "embedding", "index": index, "embedding": _encode(vector, request.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(map(count_tokens, texts))
    return {
        "object": "list",
        "data": data,
        "model": request.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def embed(text: str, dimensions: int = _DIMENSIONS) -> list[float]:
    """The vector of a text; its length is 1."""
    vector = [0.0] * dimensions
    for feature, weight in _weigh_features(text).items():
        code = zlib.crc32(feature.encode())
        vector[(code & ~_SIGN_BIT) % dimensions] += weight if code & _SIGN_BIT else -weight
    length = math.sqrt(sum(value * value for value in vector))
    if not length:
        return [1.0] + [0.0] * (dimensions - 1)
    return [value / length for value in vector]


def _weigh_features(text: str) -> dict[str, float]:
    """Words and trigrams with their weights. The weight of a repeated one is the root of its count."""
    words = _WORD.findall(text.lower())
    weights = {word: math.sqrt(count) for word, count in Counter(words).items()}
    trigrams = Counter(f"#{word}#"[at : at + 3] for word in words for at in range(len(word)))
    return weights | {f"~{trigram}": _TRIGRAM_WEIGHT * math.sqrt(count) for trigram, count in trigrams.items()}


def _list_texts(request: EmbeddingRequest) -> list[str]:
    given = request.input
    if isinstance(given, str):
        return [given]
    if all(isinstance(one, int) for one in given):
        return [" ".join(map(str, given))]
    return [" ".join(map(str, one)) if isinstance(one, list) else str(one) for one in given]


def _encode(vector: list[float], encoding: str) -> list[float] | str:
    if encoding == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()

"""What a request that is handed on may need of tokens, from its bytes alone."""

import json
from typing import Any

import pytest

from prompts.history.estimates import TOKENS_AN_IMAGE
from prompts.run.metering import OUTPUT_TOKENS
from prompts.usecases.relay_tokens import estimate_request

WRONG: list[Any] = [-1, 0, 1.5, 10**12, 10**40, "9", None, []]


def estimate(**fields: Any) -> int:
    """Of a Chat Completions request, beside its own bytes."""
    body = json.dumps(fields).encode()
    return estimate_request("/chat/completions", body) - len(body) // 4


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, OUTPUT_TOKENS),
        ({"max_tokens": 50}, 50),
        ({"max_completion_tokens": 70, "max_tokens": 50}, 70),
        ({"max_tokens": 50, "n": 3}, 150),
        *(({"max_tokens": wrong, "n": wrong}, OUTPUT_TOKENS) for wrong in WRONG),
    ],
)
def test_an_answer_is_as_long_as_it_may_be(fields: dict[str, Any], said: int) -> None:
    assert 0 <= estimate(**fields) - said <= 1


def test_vectors_say_nothing() -> None:
    body = json.dumps({"input": "x " * 400, "max_tokens": 50}).encode()
    assert estimate_request("/embeddings", body) == -(-len(body) // 4)


def test_an_image_is_no_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo/+" * 100_000}}
    needed = estimate_request("/chat/completions", json.dumps({"messages": [image, image], "max_tokens": 1}).encode())
    assert 2 * TOKENS_AN_IMAGE < needed < 2 * TOKENS_AN_IMAGE + 100

"""Texts with the same words are near each other."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standin.embeddings import EmbeddingRequest, compose_embeddings, embed
from standin.errors import StandInError


def compute_nearness(one: str, other: str) -> float:
    """The cosine of two texts' vectors."""
    return sum(a * b for a, b in zip(embed(one), embed(other), strict=True))


@given(st.text(), st.integers(1, 300))
def test_every_vector_has_length_one(text: str, dimensions: int) -> None:
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1)


def test_similar_texts_are_near() -> None:
    question = "When are refunds paid?"
    near = compute_nearness(question, "A refund is paid within 30 days.")
    far = compute_nearness(question, "Our shop opens at nine on Sundays.")
    assert near > 2 * abs(far)
    assert compute_nearness(question, "WHEN are refunds  paid") == pytest.approx(1)


def test_tokens_are_accepted_for_text() -> None:
    one = compose_embeddings(EmbeddingRequest("stand-in-embedding", [1, 2, 3]))
    many = compose_embeddings(EmbeddingRequest("stand-in-embedding", [[1, 2, 3], [4]]))
    assert len(one["data"]) == 1
    assert one["data"][0]["embedding"] == many["data"][0]["embedding"]
    assert many["data"][1]["index"] == 1


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(StandInError, match="empty"):
        compose_embeddings(EmbeddingRequest("stand-in-embedding", ["a", ""]))

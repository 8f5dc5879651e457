"""The words of questions, attributes as terms, and how words and vectors become one order."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.adapters.search_words import MAX_QUERY_WORDS, Stemmer, choose_words
from prompts.adapters.weaviate.attribute_terms import _list_ordered, _order, compose_terms
from prompts.adapters.weaviate.fusion import CANDIDATES, fuse, scale
from prompts.domain.passages import Attributes


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("How do I open the harbour?", ["open", "harbour"]),
        ("who are you", ["who", "are", "you"]),
        ("Größe, größe & GRÖSSE", ["größe", "grösse"]),
        ('NEAR("x" OR y*) -z', ["near", "x", "y", "z"]),
        ("東京都", ["東京", "京都"]),
        ("snake_case don't", ["snake", "case"]),
        ("", []),
        ("?!", []),
    ],
)
def test_a_question_is_its_telling_words(query: str, words: list[str]) -> None:
    assert choose_words(query) == words


def test_a_long_question_is_its_first_words() -> None:
    assert len(choose_words(" ".join(f"word{number}" for number in range(10_000)))) == MAX_QUERY_WORDS


def test_stems_keep_their_order_and_lose_their_accents() -> None:
    stemmer = Stemmer()
    assert stemmer.stem("Running ferries, Réunion; the ferry ran") == ["run", "ferri", "reunion", "the", "ferri", "ran"]
    assert stemmer.stem("") == []
    assert stemmer.stem("\ud800 x") == ["x"]


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
short_texts = st.text(max_size=6)


@given(left=numbers, right=numbers)
def test_codes_of_numbers_sort_as_numbers(left: float, right: float) -> None:
    assert (_order(left) < _order(right)) == (float(left) < float(right))
    assert (_order(left) == _order(right)) == (float(left) == float(right))


@given(stored=numbers | short_texts | st.booleans(), bound=numbers | short_texts | st.booleans())
def test_terms_of_a_bound_meet_those_of_what_is_beyond(stored: str | float | bool, bound: str | float | bool) -> None:
    terms = set(compose_terms({"key": stored}))
    assert terms.isdisjoint(compose_terms({"other": stored})[1:])
    alike = isinstance(stored, str) == isinstance(bound, str) and isinstance(stored, bool) == isinstance(bound, bool)
    order = (stored > bound) - (stored < bound) if alike else None  # type: ignore[operator]  # of one kind
    found = {name: not terms.isdisjoint(_list_ordered(name, "key", bound)) for name in ("gt", "gte", "lt", "lte")}
    assert found == {
        "gt": order == 1,
        "gte": order in (0, 1),
        "lt": order == -1,
        "lte": order in (0, -1),
    }


def test_as_many_attributes_as_there_may_be_are_a_few_thousand_short_terms() -> None:
    attributes: Attributes = {f"{number:064}": "x" * 512 for number in range(16)}
    terms = compose_terms(attributes)
    assert len(terms) == len(set(terms)) < 1_100
    assert all(len(term) <= 16 for term in terms)


def test_the_part_whose_best_stands_out_counts_more() -> None:
    chance = random.Random(1)
    noise = {f"n{number}": 1 + chance.random() / 10 for number in range(CANDIDATES - 1)}
    outstanding, dull = {**noise, "right": 4.0}, {**noise, "wrong": 1.2}
    for weight in (0.3, 0.5, 0.7):
        by_words = fuse(outstanding, dull, text_weight=weight)
        by_vectors = fuse(dull, outstanding, text_weight=weight)
        assert max(by_words, key=lambda key: by_words[key]) == "right"
        assert max(by_vectors, key=lambda key: by_vectors[key]) == "right"


@given(
    words=st.dictionaries(st.integers(0, 200), st.floats(0, 50), max_size=CANDIDATES),
    vectors=st.dictionaries(st.integers(0, 200), st.floats(-1, 1), max_size=CANDIDATES),
    weight=st.floats(0, 1),
)
def test_scores_are_parts_of_one(words: dict[int, float], vectors: dict[int, float], weight: float) -> None:
    fused = fuse(words, vectors, text_weight=weight)
    assert fused.keys() == words.keys() | vectors.keys()
    assert all(0 <= score <= 1 for score in fused.values())
    assert all(0 <= score <= 1 for score in scale(words).values())


def test_one_part_alone_keeps_its_order() -> None:
    scores = {number: float(number) for number in range(50)}
    fused = fuse(scores, {}, text_weight=0.7)
    assert all(fused[left] < fused[right] for left, right in pairwise(scores))

"""What is collected of a thought for the model's server: joined once, bounded, and such that it can be read again."""

from time import perf_counter
from typing import Any

import pytest

from prompts.adapters.openai.kept_thoughts import (
    MAX_DETAILS,
    MAX_DETAILS_BYTES,
    MAX_THOUGHT_CHARACTERS,
    KeptThought,
    ThoughtKeeper,
    open_kept,
)
from prompts.errors import AnswerTooLarge

HALF = "\ud83d"


def keep(*details: Any) -> KeptThought:
    keeper = ThoughtKeeper()
    keeper.add("reasoning", "thought")
    for detail in details:
        keeper.add_details([detail])
    [sealed] = keeper.seal({})
    kept = open_kept(sealed.encrypted_content)
    assert kept is not None
    assert kept.text == "thought"
    return kept


def piece(text: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning.text", "index": index, "text": text, **more}


def test_the_pieces_of_an_entry_are_joined() -> None:
    kept = keep(piece("a"), piece("b"), piece("c", signature="s"), piece("d", index=1), piece("e", index=1, text2=None))
    assert kept.details == [piece("abc", signature="s"), piece("de", index=1)]
    assert keep(piece("a"), {**piece("b"), "text": None}, piece("c")).details == [piece("ac")]
    assert keep("odd", 7, {"type": "x"}, {"type": "x"}).details == ["odd", 7, {"type": "x"}, {"type": "x"}]


@pytest.mark.timed
def test_each_piece_is_joined_once() -> None:
    keeper = ThoughtKeeper()
    began = perf_counter()
    for _ in range(100_000):  # joined with each piece, this took twelve seconds
        keeper.add_details([piece("x" * 40)])
    assert perf_counter() - began < 6


def nest(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "detail",
    [piece("x" * MAX_DETAILS_BYTES), piece(HALF), nest(101), nest(500), nest(940)],
    ids=["long", "half a character", "deep", "deeper", "deepest"],
)
def test_details_that_could_not_go_back_are_not_kept(detail: Any) -> None:
    assert keep(piece("a"), detail).details == []


def test_there_are_only_so_many_details() -> None:
    assert len(keep(*({"type": "x"} for _ in range(MAX_DETAILS + 5))).details) == MAX_DETAILS


def test_a_thought_has_an_end() -> None:
    keeper = ThoughtKeeper()
    for _ in range(8):
        keeper.add("reasoning", "x" * (MAX_THOUGHT_CHARACTERS // 8))
    with pytest.raises(AnswerTooLarge):
        keeper.add("reasoning", "x")


def test_what_an_earlier_release_kept_too_deep_is_no_thought() -> None:
    assert open_kept('chat:{"details":[' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "]}") is None

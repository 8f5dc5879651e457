"""The input of the model, and its estimated cost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from prompts.domain.items import (
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Item,
    Message,
    OutputText,
    Part,
    Reasoning,
    Refusal,
    Role,
    text_of,
)
from prompts.history.estimates import estimate_plain, estimate_tokens
from prompts.history.model_input import compose_items, drop_oldest
from tests.support.counting import counting_calls
from tests.support.items import called, returned, said

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
PARTS = st.one_of(TEXTS.map(InputText), TEXTS.map(OutputText), TEXTS.map(Refusal))


def read_plain(_kind: str, sealed: str) -> str:
    """An unsealer for texts that are not sealed."""
    return sealed


def message(role: Role, *parts: Part) -> Message:
    """A message of a history."""
    return Message(id="msg_1", status="completed", role=role, content=list(parts))


def test_instructions_then_history_then_the_new_input() -> None:
    items = compose_items(
        instructions="Be brief.",
        window=[said("user", "Hello"), said("assistant", "Hi!")],
        new_input=[said("developer", "Shout."), said("user", "And now?")],
        unseal=read_plain,
    )
    assert items == [
        said("system", "Be brief."),
        said("user", "Hello"),
        said("assistant", "Hi!"),
        said("developer", "Shout."),
        said("user", "And now?"),
    ]


@pytest.mark.parametrize("instructions", [None, ""])
def test_without_instructions_there_is_no_system_message(instructions: str | None) -> None:
    assert compose_items(instructions=instructions, window=[], new_input=[], unseal=read_plain) == []


def test_the_words_of_a_message_are_its_parts_one_after_another() -> None:
    assert text_of(message("assistant", OutputText("Well, "), Refusal("no."))) == "Well, no."
    assert text_of(message("user")) == ""


@pytest.mark.parametrize(("text", "tokens"), [("", 4), ("a", 5), ("abcd", 5), ("abcde", 6), ("🦀" * 8, 6)])
def test_four_characters_are_a_token_and_a_message_costs_four(text: str, tokens: int) -> None:
    assert estimate_tokens(message("user", InputText(text))) == tokens


def test_a_sealed_thought_costs_what_goes_back_of_it_and_is_not_compared() -> None:
    thought = Reasoning("", "completed", summary=[], encrypted_content="x" * 400)
    assert estimate_tokens(thought) == 4 + 100
    words = [said("user", "x" * 4_000)]
    assert estimate_plain(words, []) == 4 + 1_000
    assert estimate_plain([*words, thought], []) is None


@settings(deadline=None)  # the machine is shared
@given(st.lists(PARTS, max_size=5))
def test_an_estimate_is_never_nothing_and_never_more_than_the_characters(parts: list[Part]) -> None:
    item = message("assistant", *parts)
    assert 4 <= estimate_tokens(item) <= 4 + len(text_of(item))


@pytest.mark.parametrize(
    ("items", "kept"),
    [
        ([called("a"), returned("a", "x")], [called("a"), returned("a", "x")]),
        ([called("a")], []),
        ([returned("a", "x")], []),
        ([returned("a", "x"), called("a")], []),
        ([returned("a", "x"), called("a"), returned("a", "y")], [called("a"), returned("a", "y")]),
        ([called("a"), returned("a", "x"), called("a")], [called("a"), returned("a", "x")]),
        ([called("a"), returned("a", "x"), returned("a", "y")], [called("a"), returned("a", "x")]),
    ],
)
def test_only_calls_with_an_output_go_to_a_model_and_only_outputs_with_a_call(
    items: list[Item], kept: list[Item]
) -> None:
    assert compose_items(instructions=None, window=items, new_input=[], unseal=read_plain) == kept


def test_a_call_that_was_cut_off_goes_with_its_output() -> None:
    cut = replace(called("a", arguments='{"ci'), status="incomplete")
    assert compose_items(instructions=None, window=[cut, returned("a", "x")], new_input=[], unseal=read_plain) == []


def test_thoughts_that_nothing_of_the_models_follows_are_left_out() -> None:
    items: list[Item] = [
        THOUGHT,
        THOUGHT,
        said("assistant", "two"),
        THOUGHT,
        THOUGHT,
        ONE,
        THOUGHT,
        called("a"),
        THOUGHT,
    ]
    assert compose_items(instructions=None, window=items, new_input=[], unseal=read_plain) == [*items[:3], ONE]


RULES, DEVELOPER = said("system", "Be brief."), said("developer", "Very.")
ONE, TWO, THREE, FOUR = (said("user", text) for text in ("one", "two", "three", "four"))
THOUGHT = Reasoning(id="", status="completed", summary=[])


@pytest.mark.parametrize(
    ("items", "kept"),
    [
        ([ONE, TWO, THREE, FOUR], [THREE, FOUR]),
        ([ONE, TWO, THREE], [TWO, THREE]),
        ([ONE, TWO], [TWO]),
        ([RULES, ONE, DEVELOPER, TWO], [RULES, DEVELOPER, TWO]),
        ([called("a"), returned("a", "x"), TWO, THREE], [TWO, THREE]),
        ([ONE, called("a"), returned("a", "x"), THREE], [called("a"), returned("a", "x"), THREE]),
        ([called("a"), ONE, returned("a", "x"), TWO], [TWO]),
        ([ONE, TWO, THOUGHT, called("a"), returned("a", "x")], [THOUGHT, called("a"), returned("a", "x")]),
        ([ONE, THOUGHT, said("assistant", "two"), THREE], [said("assistant", "two"), THREE]),
    ],
)
def test_the_older_half_goes_and_calls_stay_with_their_outputs(items: list[Item], kept: list[Item]) -> None:
    assert drop_oldest(items) == kept


@pytest.mark.parametrize("items", [[], [ONE], [RULES], [RULES, ONE], [called("a"), returned("a", "x")]])
def test_what_cannot_be_less_is_not_made_less(items: list[Item]) -> None:
    assert drop_oldest(items) is None


CALL_IDS = st.sampled_from("abc")
ITEMS = st.one_of(
    st.sampled_from([RULES, ONE, said("assistant", "two"), THOUGHT]),
    CALL_IDS.map(called),
    CALL_IDS.map(lambda call_id: returned(call_id, "x")),
)


@settings(deadline=None)
@given(st.lists(ITEMS, max_size=14))
def test_whatever_is_dropped_each_output_has_its_call_and_each_call_its_output(given_items: list[Item]) -> None:
    items: list[Item] | None = compose_items(instructions=None, window=given_items, new_input=[], unseal=read_plain)
    while items is not None:
        calls = [item.call_id for item in items if isinstance(item, FunctionCall)]
        outputs = [item.call_id for item in items if isinstance(item, FunctionCallOutput)]
        assert set(calls) == set(outputs)
        shorter = drop_oldest(items)
        assert shorter is None or (len(shorter) < len(items) and shorter)
        items = shorter


def test_an_item_of_the_window_costs_few_calls() -> None:
    """Each turn looks at its whole window: what an item costs, a window of hundreds costs hundreds of times."""
    counts = []
    for length in (20, 120):
        window = [said(("user", "assistant")[place % 2], "What was said then.") for place in range(length)]
        with counting_calls() as calls:
            given = compose_items(instructions=None, window=window, new_input=[said("user", "?")], unseal=read_plain)
            estimate_plain(given, [])
        counts.append(calls.count)

    assert counts[1] - counts[0] <= 100 * 20

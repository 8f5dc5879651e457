"""Thoughts between tags in a text: told apart however they are cut, and nothing is lost or held back in vain."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.adapters.openai.think_tags import (
    CLOSING,
    TaggedModels,
    TaggedText,
    TagMode,
    find_mode,
    read_tagged_models,
)

Cuts = st.lists(st.integers(0, 60), max_size=8)
Words = st.text("ab <>/|[]`\n", max_size=12)


def take_apart(text: str, cuts: list[int], mode: TagMode = "opened") -> tuple[str, str]:
    """The thought and the text of an answer that comes in these pieces."""
    tagged, told = TaggedText(mode), {True: "", False: ""}
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    stretches = [stretch for start, end in pairwise(places) for stretch in tagged.take(text[start:end])]
    for stretch in (*stretches, *tagged.finish()):
        told[stretch.is_thought] += stretch.text
    return told[True], told[False]


@settings(deadline=None)  # the machine is shared
@given(st.sampled_from([*CLOSING.items()]), Words, Words, Cuts)
def test_any_cut_of_a_thought_and_a_text(tags: tuple[str, str], thought: str, text: str, cuts: list[int]) -> None:
    opening, closing = tags
    thought, text = f"x{thought}", f"y{text}"
    assert take_apart(f"\n{opening}\n{thought}{closing}\n\n{text}", cuts) == (thought, text)
    assert take_apart(f"{thought}{closing}{text}", cuts, "begun") == (thought, text)


@settings(deadline=None)
@given(Words, Cuts)
def test_a_text_without_an_opening_tag_is_all_text(text: str, cuts: list[int]) -> None:
    assert take_apart(f"x{text}<think>no</think>", cuts) == ("", f"x{text}<think>no</think>")


@pytest.mark.parametrize(
    ("text", "mode", "thought", "said"),
    [
        ("`</think>` ends it", "opened", "", "`</think>` ends it"),
        ("<think>\n\n</think>\n\nHi", "opened", "", "Hi"),
        ("<think>cut off", "opened", "cut off", ""),
        ("<think>cut </thi", "opened", "cut </thi", ""),
        ("<thi", "opened", "", "<thi"),
        ("", "opened", "", ""),
        ("  ", "opened", "", "  "),
        ("t<|END_THINKING|>hi", "begun", "t", "hi"),
        ("<think>a</think>b</think>c", "opened", "a", "b</think>c"),
    ],
)
def test_odd_texts(text: str, mode: TagMode, thought: str, said: str) -> None:
    assert take_apart(text, [*range(len(text))], mode) == (thought, said)


def test_no_more_is_held_back_than_the_beginning_of_a_tag() -> None:
    tagged = TaggedText("opened")
    assert [*tagged.take("<th")] == []
    assert [stretch.text for stretch in tagged.take("ink>why")] == ["why"]
    assert [stretch.text for stretch in tagged.take(" not</thi")] == [" not"]
    assert [stretch.text for stretch in tagged.take("s")] == ["</this"]
    assert [stretch.text for stretch in tagged.take("</think>Hi <")] == ["Hi <"]


def test_a_setting_names_models_by_patterns() -> None:
    tagged = (*map(read_tagged_models, ("qwen3*=begun", "deepseek-r1:*", "a=b")),)
    assert tagged == (TaggedModels("qwen3*", "begun"), TaggedModels("deepseek-r1:*"), TaggedModels("a=b"))
    names = ("qwen3:8b", "deepseek-r1:7b", "gpt", "a=b")
    assert [find_mode(tagged, name) for name in names] == ["begun", "opened", "off", "opened"]

"""How a document is cut into passages: nothing is lost, sizes hold, and each stands where it says."""

import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.domain.passages import Block, Stretch
from prompts.domain.vector_stores import AutoChunking, Chunking, StaticChunking, StaticSizes
from prompts.knowledge.chunking import GAP, MAX_TOKENS, cut, join

AUTO = AutoChunking()
WORDS = st.text("ab ñ。.!\n\t漢🙂", max_size=60)
TEXTS = st.one_of(WORDS, st.builds(lambda text, count: text * count, WORDS, st.integers(1, 300)))
BLOCKS = st.lists(
    st.builds(
        Block,
        text=TEXTS,
        kind=st.sampled_from(["heading", "paragraph", "code", "table"]),
        level=st.integers(1, 6),
        page=st.one_of(st.none(), st.integers(1, 3)),
    ),
    max_size=12,
)
STATIC = st.builds(
    lambda size, share: StaticChunking(StaticSizes(size, int(size * share))), st.integers(100, 400), st.floats(0, 0.5)
)
SIZES = StaticChunking(StaticSizes(100, 25))


def words(count: int) -> str:
    """A paragraph of so many tokens: each word is one."""
    return "wor " * (count - 1) + "end"


def texts(stretches: Sequence[Stretch]) -> list[str]:
    """The passages' texts."""
    return [stretch.text for stretch in stretches]


def whole_of(blocks: Sequence[Block]) -> str:
    """The text that passages are parts of."""
    return GAP.join(block.text for block in blocks)


def check(blocks: Sequence[Block], chunking: Chunking, max_tokens: int) -> Sequence[Stretch]:
    """Cut, and hold what is promised of every document."""
    whole, stretches = whole_of(blocks), cut(blocks, chunking)
    covered = bytearray(len(whole))
    for number, stretch in enumerate(stretches):
        end = stretch.start + len(stretch.text)
        assert stretch.number == number
        assert stretch.text == whole[stretch.start : end] == stretch.text.strip() != ""
        assert 0 < stretch.tokens <= max_tokens
        covered[stretch.start : end] = b"\x01" * len(stretch.text)
    assert [stretch.start for stretch in stretches] == sorted({stretch.start for stretch in stretches})
    assert all(each or character.isspace() for each, character in zip(covered, whole, strict=True))
    assert "".join("".join(join(stretches)).split()) == "".join(whole.split())
    return stretches


@given(BLOCKS)
def test_nothing_is_lost_where_paragraphs_are_followed(blocks: list[Block]) -> None:
    check(blocks, AUTO, MAX_TOKENS)


@given(BLOCKS, STATIC)
def test_nothing_is_lost_in_passages_of_one_size(blocks: list[Block], chunking: StaticChunking) -> None:
    size, overlap = chunking.static.max_chunk_size_tokens, chunking.static.chunk_overlap_tokens
    stretches = check(blocks, chunking, size)
    for former, later in pairwise(stretches):
        assert former.start + len(former.text) - later.start <= 4 * overlap


def test_passages_of_one_size_overlap_by_as_much_as_was_asked_for() -> None:
    stretches = cut([Block("x" * 4000)], SIZES)
    assert [stretch.start for stretch in stretches] == list(range(0, 3700, 300))
    assert {stretch.tokens for stretch in stretches[:-1]} == {100}


def test_passages_of_one_size_end_with_a_word() -> None:
    for stretch in cut([Block("seven77 " * 500)], SIZES)[:-1]:
        assert stretch.text.endswith("seven77")
        assert stretch.tokens > 80


def test_a_short_document_is_one_passage() -> None:
    blocks = [Block("Install", "heading", 1), Block("Run it."), Block("Remove", "heading", 1), Block("Delete it.")]
    assert texts(cut(blocks, AUTO)) == ["Install\n\nRun it.\n\nRemove\n\nDelete it."]


def test_a_section_begins_a_passage_that_knows_its_headings() -> None:
    blocks = [
        Block("Guide", "heading", 1, 1),
        Block("Install", "heading", 2, 1),
        Block(words(150), page=1),
        Block("On Linux", "heading", 3, 2),
        Block(words(150), page=2),
        Block("Remove", "heading", 2, 3),
        Block(words(150), page=3),
    ]
    found = [(stretch.heading, stretch.page) for stretch in cut(blocks, AUTO)]
    assert found == [("Guide › Install", 1), ("Guide › Install › On Linux", 2), ("Guide › Remove", 3)]


def test_a_passage_of_short_sections_stands_under_what_they_share() -> None:
    blocks = [
        Block("Lease", "heading", 1),
        Block("Munich", "heading", 2),
        Block("Six months."),
        Block("Berlin", "heading", 2),
        Block("Three months."),
    ]
    assert [stretch.heading for stretch in cut(blocks, AUTO)] == ["Lease"]


def test_a_page_begins_a_passage_unless_it_is_short() -> None:
    pages = [Block(words(150), page=1), Block(words(150), page=2), *(Block(f"Slide {n}", page=n) for n in range(3, 9))]
    assert [(stretch.page, stretch.tokens > 100) for stretch in cut(pages, AUTO)] == [(1, True), (2, True), (3, False)]


def test_paragraphs_stay_whole() -> None:
    blocks = [Block(f"{number} {words(150)}") for number in range(20)]
    for stretch in cut(blocks, AUTO):
        assert {text in whole_of(blocks).split(GAP) for text in stretch.text.split(GAP)} == {True}
        assert 300 <= stretch.tokens <= MAX_TOKENS


def test_a_heading_is_not_left_at_the_end() -> None:
    blocks = [Block(words(20)), Block("Prices", "heading", 1), Block(words(790))]
    assert [text.split(GAP)[0] for text in texts(cut(blocks, AUTO))] == [words(20), "Prices"]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    blocks = [Block("This is a sentence of the guide. " * 300)]
    assert all(text.startswith("This") and text.endswith("guide.") for text in texts(cut(blocks, AUTO)))


def test_rows_of_a_table_stay_whole_and_know_its_header() -> None:
    rows = [f"| article {number} | {number} € |" for number in range(400)]
    table = "\n".join(["| Article | Price |", *rows])
    stretches = cut([Block("Prices", "heading", 1), Block(table, "table")], AUTO)
    assert len(stretches) > 2
    for stretch in stretches[1:]:
        assert set(stretch.text.split("\n")) <= set(rows)
        assert stretch.heading == "Prices › | Article | Price |"


def test_lines_of_code_stay_whole() -> None:
    lines = [f"    value_{number} = compute(value, {number})" for number in range(400)]
    stretches = cut([Block("\n".join(lines), "code")], AUTO)
    assert len(stretches) > 2
    for text in texts(stretches):
        assert {line.strip() for line in text.split("\n")} <= {line.strip() for line in lines}


def test_neighbours_are_joined_without_saying_anything_twice() -> None:
    text = "".join(f"{number} " for number in range(3000)).strip()
    assert "".join(join(cut([Block(text)], SIZES))) == text


@pytest.mark.parametrize("chunking", [AUTO, SIZES])
@pytest.mark.parametrize(
    "blocks",
    [
        [Block("x" * 10_000_000)],
        [Block("one " * 2_500_000)],
        [Block(" " * 10_000_000 + "end")],
        [Block("word")] * 100_000,
        [Block("word", "heading", 1)] * 100_000,
        [Block(f"{level}", "heading", 1 + level % 6) for level in range(100_000)],
        [Block("| a | b |\n" * 1_000_000, "table")],
        [Block("\n" * 5_000_000, "code")],
        [Block("")] * 100_000,
    ],
    ids=["one word", "one line", "space", "paragraphs", "headings", "levels", "table", "lines", "nothing"],
)
def test_hostile_documents_take_linear_time(blocks: Sequence[Block], chunking: Chunking) -> None:
    begun = time.process_time()
    cut(blocks, chunking)
    assert time.process_time() - begun < 10

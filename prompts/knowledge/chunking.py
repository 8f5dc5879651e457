"""Pure: how a document is cut into the passages that are searched.

A document's whole text is that of its blocks, with `GAP` between them. Every passage is a part of it as it stands,
without the white space at its ends: `whole[start : start + len(text)]`. So neighbours can be joined.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from prompts.domain.passages import Block, Stretch
from prompts.domain.vector_stores import Chunking, StaticChunking, StaticSizes
from prompts.history.estimates import CHARACTERS_A_TOKEN, estimate_characters

GAP = "\n\n"
# A passage has about so many tokens: short enough to say one thing, long enough to be understood alone.
TARGET_TOKENS = 400
MAX_TOKENS = 800
# A section, or a page, that is shorter shares its passage with the next one.
MIN_TOKENS = 100
# Of a heading, and of a table's header: the path of headings goes into each passage.
MAX_HEADING_CHARACTERS = 200
HEADING_GAP = " › "
# A passage of one size ends with a word, where one ends so near its end.
WORD_CHARACTERS = 64

_SPACE = re.compile(r"\s")
_NO_SPACE = re.compile(r"\S")
_SENTENCE_END = re.compile(r"[.!?…。！？]['\"”’)\]]*\s|[。！？]|\n")  # with the full stops of Asia


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the whole text that is not divided: where it stands, and under which headings."""

    start: int
    end: int
    heading: str
    page: int | None
    is_heading: bool = False
    level: int = 0


def cut(blocks: Sequence[Block], chunking: Chunking) -> Sequence[Stretch]:
    """The passages of a document, in order; nothing but white space is in none of them. Takes linear time."""
    whole = GAP.join(block.text for block in blocks)
    if isinstance(chunking, StaticChunking):
        parts = _cut_evenly(whole, list(_list_places(blocks)), chunking.static)
    else:
        parts = _pack(_divide(blocks, whole))
    return _number(whole, parts)


def join(stretches: Sequence[Stretch]) -> Sequence[str]:
    """The text of passages in order, each without what the one before it has said already."""
    texts: list[str] = []
    end = 0
    for stretch in stretches:
        texts.append(stretch.text[max(0, end - stretch.start) :])
        end = max(end, stretch.start + len(stretch.text))
    return [text for text in texts if text]


def _number(whole: str, parts: Iterator[_Piece]) -> Sequence[Stretch]:
    """The parts as passages, without the white space around them; those of nothing else are left out."""
    stretches: list[Stretch] = []
    for part in parts:
        text = whole[part.start : part.end]
        start = part.start + len(text) - len(text.lstrip())
        if text := text.strip():
            tokens = estimate_characters(len(text))
            stretches.append(Stretch(len(stretches), text, part.heading, part.page, tokens, start))
    return stretches


def _list_places(blocks: Sequence[Block]) -> Iterator[_Piece]:
    """Each block's place in the whole text, and the path of headings above it; a heading stands under itself."""
    path: list[tuple[int, str]] = []
    heading = ""
    start = 0
    for block in blocks:
        is_heading = block.kind == "heading"
        if is_heading:
            path = [*(above for above in path if above[0] < block.level), (block.level, _shorten(block.text))]
            heading = HEADING_GAP.join(text for _, text in path if text)
        end = start + len(block.text)
        yield _Piece(start, end, heading, block.page, is_heading, block.level)
        start = end + len(GAP)


def _shorten(text: str) -> str:
    """A heading in one line."""
    return " ".join(text[: 2 * MAX_HEADING_CHARACTERS].split())[:MAX_HEADING_CHARACTERS]


# --- one size ---


def _cut_evenly(whole: str, places: Sequence[_Piece], sizes: StaticSizes) -> Iterator[_Piece]:
    """Windows of one size, each begun so many tokens before the former one's end."""
    size = sizes.max_chunk_size_tokens * CHARACTERS_A_TOKEN
    overlap = sizes.chunk_overlap_tokens * CHARACTERS_A_TOKEN
    starts = [place.start for place in places]
    start = _find_text(whole, 0)
    while start < len(whole):
        end = _find_end(whole, start + size)
        place = places[bisect_right(starts, start) - 1]
        yield _Piece(start, end, place.heading, place.page)
        start = len(whole) if end == len(whole) else _find_text(whole, end - overlap)


def _find_text(whole: str, start: int) -> int:
    """Where text begins at or behind this place; the end when there is none."""
    found = _NO_SPACE.search(whole, start)
    return found.start() if found else len(whole)


def _find_end(whole: str, end: int) -> int:
    """The end of a word at or a little before this place, else this place."""
    if end >= len(whole):
        return len(whole)
    if _SPACE.match(whole, end):
        return end
    return max((found.start() for found in _SPACE.finditer(whole, end - WORD_CHARACTERS, end)), default=end)


# --- by headings and paragraphs ---


def _divide(blocks: Sequence[Block], whole: str) -> Iterator[_Piece]:
    """The blocks as pieces of at most MAX_TOKENS: a table by its rows, code by its lines, the rest by its sentences."""
    most = MAX_TOKENS * CHARACTERS_A_TOKEN
    for block, place in zip(blocks, _list_places(blocks), strict=True):
        if place.end - place.start <= most:
            yield place
            continue
        by_lines = block.kind in ("table", "code")
        header = _shorten(block.text.partition("\n")[0]) if block.kind == "table" else ""
        below = HEADING_GAP.join(text for text in (place.heading, header) if text)
        for start, end in _split(whole, place.start, place.end, most, by_lines=by_lines):
            heading = place.heading if start == place.start else below
            yield _Piece(start, end, heading, place.page)


def _split(whole: str, start: int, end: int, most: int, *, by_lines: bool) -> Iterator[tuple[int, int]]:
    """Parts of at most `most` characters, each as long as it can be, that follow on one another."""
    while end - start > most:
        cut_at = _find_cut(whole, start, start + most, by_lines=by_lines)
        yield start, cut_at
        start = cut_at
    yield start, end


def _find_cut(whole: str, start: int, limit: int, *, by_lines: bool) -> int:
    """The best place to cut before the limit: behind a line or a sentence, else behind a word, else at the limit."""
    line = whole.rfind("\n", start, limit) + 1
    if by_lines and line > start:
        return line
    half = (start + limit) // 2
    sentence = max((found.end() for found in _SENTENCE_END.finditer(whole, half, limit)), default=0)
    if sentence > start:
        return sentence
    return max((found.end() for found in _SPACE.finditer(whole, half, limit)), default=limit)


def _pack(pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """Neighbouring pieces together, up to the size of a passage; a heading goes with what stands under it."""
    packed: list[_Piece] = []
    for piece in pieces:
        if packed and _is_over(packed, piece):
            kept = _count_headings_at_end(packed)
            # Headings alone are no passage, unless they fill one.
            if kept < len(packed) and not _is_too_long(packed[len(packed) - kept :], piece):
                packed, rest = packed[: len(packed) - kept], packed[len(packed) - kept :]
            else:
                rest = []
            yield _merge(packed)
            packed = rest
        packed.append(piece)
    if packed:
        yield _merge(packed)


def _is_over(packed: Sequence[_Piece], piece: _Piece) -> bool:
    """Whether a passage ends before this piece."""
    if _is_too_long(packed, piece):
        return True
    tokens = (packed[-1].end - packed[0].start) // CHARACTERS_A_TOKEN
    is_next_section = piece.is_heading and not packed[-1].is_heading
    return (is_next_section or piece.page != packed[-1].page) and tokens >= MIN_TOKENS


def _is_too_long(packed: Sequence[_Piece], piece: _Piece) -> bool:
    if not packed:
        return False
    tokens = (packed[-1].end - packed[0].start) // CHARACTERS_A_TOKEN
    with_piece = estimate_characters(piece.end - packed[0].start)
    # Beyond its target a passage takes only what is short.
    is_enough = tokens >= TARGET_TOKENS and with_piece > (TARGET_TOKENS + MAX_TOKENS) // 2
    return with_piece > MAX_TOKENS or is_enough


def _count_headings_at_end(packed: Sequence[_Piece]) -> int:
    count = 0
    for piece in reversed(packed):
        if not piece.is_heading:
            break
        count += 1
    return count


def _merge(packed: Sequence[_Piece]) -> _Piece:
    """The pieces as one; it stands under the headings that all of them share, and on the page where it begins."""
    paths = [piece.heading.split(HEADING_GAP) for piece in packed if not piece.is_heading]
    shared = takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    heading = HEADING_GAP.join(names[0] for names in shared) if paths else packed[-1].heading
    return _Piece(packed[0].start, packed[-1].end, heading, packed[0].page)

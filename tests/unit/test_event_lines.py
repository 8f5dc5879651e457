"""Lines without end: how much of a stream is read, and held."""

from collections.abc import Iterable, Iterator

import pytest

from prompts.adapters.openai.lines import (
    MAX_EVENT_BYTES,
    MAX_EVENT_ENTRIES,
    MAX_EVENT_OBJECTS,
    MAX_STREAM_BYTES,
    MAX_STREAM_LINES,
    EventLines,
    check_event,
)
from prompts.errors import AnswerTooLarge

MEGABYTE = 1024 * 1024


def repeat(data: bytes, *, size: int) -> Iterator[bytes]:
    """Reads of a megabyte, of at least so many bytes in all."""
    read = data * (MEGABYTE // len(data) + 1)
    yield from (read for _ in range(size // MEGABYTE + 1))


@pytest.mark.parametrize(
    ("beginning", "data", "size"),
    [
        (b"data: ", b"x", MAX_EVENT_BYTES),
        (b"data: ", b"xxxxxxxxx\ndata: ", MAX_EVENT_BYTES * 2),
        (b"[", b"xxxxxxxxx\n", MAX_EVENT_BYTES),
        (b"", b"\n", MAX_STREAM_LINES),
        (b"", b":" + b"x" * MEGABYTE + b"\n", MAX_STREAM_BYTES),
    ],
    ids=["a line", "an event of many lines", "bare JSON", "lines that say nothing", "a stream that says nothing"],
)
def test_what_has_no_end_is_cut(beginning: bytes, data: bytes, size: int) -> None:
    lines = EventLines()
    assert not list(lines.feed(beginning))
    with pytest.raises(AnswerTooLarge):
        assert not [said for read in repeat(data, size=size) for said in lines.feed(read)]


def test_an_event_may_be_long_and_have_few_parts() -> None:
    check_event(b"x" * MAX_EVENT_BYTES)
    check_event(b"{}," * 10)


@pytest.mark.parametrize(
    "parts", [b"{" * (MAX_EVENT_OBJECTS + 1), b"[" * (MAX_EVENT_OBJECTS + 1), b"1," * MAX_EVENT_ENTRIES * 2]
)
def test_an_event_has_only_so_many_parts(parts: bytes) -> None:
    with pytest.raises(AnswerTooLarge):
        check_event(parts)


READS = (
    *(b'data: {"a": 1}\n\n', b'event: named\ndata: {"a": 2}\n\n', b'data:{"a": 3}\n\n', b'event: named\ndata: {"a": 4'),
    *(
        b"}\n\n",
        b": hm\n\n",
        b'event: half\ndata: {"a": 5}\ndata: {"a": 6}\n\n',
        b'data: {"a": 7}\r\n\r\n',
        b"event: half",
    ),
    *(b'\ndata: {"a": 8}\n\n', b'data: {"a": 9}\n\n', b'id: 1\ndata: {"a": 10}\n\n', b'event:\ndata: {"a": 11}\n\n'),
)


def list_named(reads: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """The events, each with its name."""
    lines = EventLines()
    return [(bytes(said), lines.event_name) for read in reads for said in lines.feed(read)]


@pytest.mark.parametrize("place", range(len(READS)))
def test_events_are_the_same_however_they_are_read(place: int) -> None:
    has_begun = place in {4, 9}  # in the read before
    reads = [*READS] if has_begun else [*READS[place:], *READS[:place]]
    whole = list_named([b"".join(reads)])
    assert list_named(reads) == whole
    assert list_named(bytes([byte]) for read in reads for byte in read) == whole
    assert len(whole) == 11


def test_events_without_end_are_cut_one_by_one_as_well() -> None:
    lines, event = EventLines(), b"data: {%b}\n\n" % (b" " * MEGABYTE)
    with pytest.raises(AnswerTooLarge):
        assert not [said for _ in range(MAX_STREAM_BYTES // MEGABYTE + 1) for said in lines.feed(event) if b"x" in said]

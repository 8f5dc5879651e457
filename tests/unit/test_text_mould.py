"""A chunk that differs from the one before it in its text alone is read without being decoded, and says the same."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.adapters.openai.chat_stream import ChatReading, Interest
from prompts.adapters.openai.text_mould import MAX_MISSES, TextMould
from prompts.domain.signals import Finished, Signal, Text
from tests.support.counting import counting_functions

PLAIN = Interest()
Change = Callable[[dict[str, Any]], object]


def compose(text: str, *, change: Change | None = None, escapes: bool = False, space: str = "") -> bytes:
    """A chunk as a server sends it."""
    chunk = {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    if change is not None:
        change(chunk)
    said = json.dumps(chunk, ensure_ascii=escapes, separators=(",", f":{space}"))
    return f"data: {said}\n\n".encode("utf-8", "surrogatepass")


def read(pieces: Sequence[bytes], interest: Interest = PLAIN) -> list[Signal]:
    """What they say."""
    reading = ChatReading(interest)
    return [signal for piece in pieces for signal in reading.feed(piece)]


def count_decoded(pieces: Sequence[bytes]) -> int:
    """How many of them are decoded."""
    with counting_functions() as called:
        read(pieces)
    return called["prompts.adapters.openai.chat_chunks.find_choice"]


@pytest.mark.parametrize("space", ["", " "])
def test_chunks_that_differ_in_their_text_are_not_decoded(space: str) -> None:
    pieces = [compose(text, space=space) for text in ("Once", " upon", " a", " time")]
    assert read(pieces) == [Text("Once"), Text(" upon"), Text(" a"), Text(" time")]
    assert count_decoded(pieces) == 2  # the first one may have a byte order mark before it


def test_so_are_those_of_any_script() -> None:
    pieces = [compose(text) for text in ("从前", "有", "一", "天")]
    assert read(pieces) == [Text("从前"), Text("有"), Text("一"), Text("天")]
    assert count_decoded(pieces) == 2


TEXTS = [
    '"',
    "\\",
    "\n",
    "é",
    "语",
    "😀",
    '","content":"',
    '"}}]}',
    "\x7f",
    "\u2028",
    "data: {}",
    "a\\",
    "</think>",
    "\ud83d",
]


@pytest.mark.parametrize("escapes", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_read_as_it_is_without_a_mould(text: str, escapes: bool) -> None:
    pieces = [compose("Once"), compose("upon"), compose(text, escapes=escapes), compose("a"), compose(text)]
    assert read(pieces) == read([half for piece in pieces for half in _halve(piece)])


def _halve(piece: bytes) -> tuple[bytes, bytes]:
    """In two reads it fits no mould."""
    return piece[: len(piece) // 2], piece[len(piece) // 2 :]


@given(st.lists(st.text(max_size=8), max_size=8), st.booleans())
def test_any_texts_are_read_as_they_are_without_moulds(texts: Sequence[str], escapes: bool) -> None:
    pieces = [compose(text, escapes=escapes) for text in texts]
    assert read(pieces) == read([half for piece in pieces for half in _halve(piece)])


def put(**fields: Any) -> Change:
    """These fields in the delta."""
    return lambda chunk: chunk["choices"][0]["delta"].update(fields)


CHANGES: dict[str, Change] = {
    "a reason": lambda chunk: chunk["choices"][0].update(finish_reason="stop"),
    "its usage": lambda chunk: chunk.update(usage={"prompt_tokens": 1, "completion_tokens": 1}),
    "usage of Groq's": lambda chunk: chunk.update(x_groq={"usage": {}}),
    "usage in its choice": lambda chunk: chunk["choices"][0].update(usage={"prompt_tokens": 1}),
    "an error": lambda chunk: chunk.update(error={"message": "no"}),
    "a message": lambda chunk: chunk["choices"][0].update(message={"role": "assistant"}),
    "a thought": put(reasoning_content="Hm"),
    "a refusal": put(refusal="No"),
    "a call": put(tool_calls=[{"index": 0, "id": "call_1", "function": {"name": "look", "arguments": "{}"}}]),
    "another choice": lambda chunk: chunk["choices"].append({"index": 1, "delta": {"content": "Other"}}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_chunk_that_says_more_is_no_mould(change: Change) -> None:
    said = compose("Once", change=change)
    assert TextMould.make(compose("Once"), [Text("Once")]) is not None
    assert TextMould.make(said, [Text("Once")]) is None


def test_what_ends_the_answer_is_seen() -> None:
    reading = ChatReading()
    for text in ("Once", " upon"):
        reading.feed(compose(text))
    reading.feed(compose("", change=CHANGES["a reason"]))
    reading.feed(b"data: [DONE]\n\n")
    assert reading.finish() == [Finished("stop", None)]


def test_an_event_cut_in_two_is_read_as_ever() -> None:
    piece = compose(" upon")
    assert read([compose("Once"), piece[:40], piece[40:], piece]) == [Text("Once"), Text(" upon"), Text(" upon")]


def test_two_events_in_one_read_are_both_read() -> None:
    assert read([compose("Once"), compose(" upon") + compose(" a")]) == [Text("Once"), Text(" upon"), Text(" a")]


def test_a_server_whose_chunks_never_fit_is_not_looked_at_for_ever() -> None:
    pieces = [compose("word", change=partial(put_id, number)) for number in range(3 * MAX_MISSES)]
    with counting_functions() as called:
        read(pieces)
    assert called["prompts.adapters.openai.text_mould.TextMould.make"] == MAX_MISSES


def put_id(number: int, chunk: dict[str, Any]) -> None:
    """Another one for each chunk."""
    chunk["id"] = f"chatcmpl-{number}"


def test_where_thoughts_are_looked_for_in_the_text_nothing_is_a_mould() -> None:
    pieces = [compose(text) for text in ("<think>", "Hm", "</think>", "Once")]
    said = read(pieces, Interest(has_thoughts=True, tag_mode="begun"))
    assert said[-1] == Text("Once")
    assert Text("Hm") not in said

"""`ChatReading`: every dialect of Chat Completions that servers speak, cut anywhere."""

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.adapters.openai_chat_wire import MAX_EVENT_BYTES, ChatReading, model_body
from prompts.domain import InputTokensDetails, ModelMessage, ModelRequest, OutputTokensDetails, Usage
from prompts.errors import RateLimited, UpstreamError
from prompts.events import Finished, Refused, Signal, Text

Words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def chunk(content: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk that says something."""
    return {"choices": [{"index": 0, "delta": {"content": content}, **fields}]}


def frame(value: dict[str, Any]) -> bytes:
    """A chunk on the wire."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


END = frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
DONE = b"data: [DONE]\n\n"


def read(*parts: bytes) -> list[Signal]:
    """What a whole stream says, given in these parts."""
    reading = ChatReading()
    signals = [signal for part in parts for signal in reading.feed(part)]
    return signals + reading.finish()


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Signal]]:
    """A stream in some dialect, and what it says."""
    said: list[Signal] = []
    data = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b": hello\n\n", b"retry: 10\n\n"]))
    for word in draw(st.lists(Words, max_size=6)):
        kind = draw(st.sampled_from(["content", "refusal", "reasoning_content"]))
        data += frame({"choices": [{"delta": {kind: word}}]})
        if kind != "reasoning_content":
            said.append(Text(word) if kind == "content" else Refused(word))
    data += END + draw(st.sampled_from([b"", DONE, DONE[:-2], DONE[:-1] + b"rubbish"]))
    line_end = draw(st.sampled_from([b"\n", b"\r\n"]))
    return data.replace(b"\n", line_end), [*said, Finished("stop")]


@settings(deadline=None)  # the machine is shared
@given(streams(), st.lists(st.integers(0, 600), max_size=8))
def test_any_cut_of_any_dialect_says_the_same(stream: tuple[bytes, list[Signal]], cuts: list[int]) -> None:
    data, said = stream
    bounds = [0, *sorted(cuts), len(data)]
    assert read(*(data[begin:end] for begin, end in pairwise(bounds))) == said
    assert read(*(bytes([byte]) for byte in data)) == said


@pytest.mark.parametrize(
    "data",
    [
        frame(chunk("Hi")) + END + DONE,
        frame(chunk("Hi", finish_reason="stop")),
        b"data:" + msgspec.json.encode(chunk("Hi")) + b"\n\n" + END,
        frame(chunk("Hi")).replace(b"\n", b"\r\n") + END.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + frame(chunk("Hi")) + END,
        b": a comment\n\n" + frame(chunk("Hi")) + b": another\n\n" + END + DONE,
        b"event: message\nid: 7\nretry: 5\n" + frame(chunk("Hi")) + END,
        b"data:\n\ndata: \n\n" + frame(chunk("Hi")) + END,
        frame({"choices": []}) + frame({"choices": None}) + frame({}) + frame(chunk("Hi")) + END,
        frame({"choices": [{"delta": None}]}) + frame(chunk("Hi")) + END,
        frame({"choices": [{}]}) + frame(chunk("")) + frame(chunk("Hi")) + END,
        frame({**chunk("Hi"), "usage": None, "error": None}) + END,
        frame(chunk("Hi", finish_reason="")) + END,
        frame(chunk("Hi", finish_reason="tool_calls")),
        frame(chunk("Hi", finish_reason="eos_token")),
        frame(chunk("Hi")) + END.rstrip(),
        frame(chunk("Hi")) + END + DONE.rstrip(),
        frame(chunk("Hi")) + END + b'data: {"usage": {"prompt_tok',
        frame(chunk("Hi")) + END + DONE + b"<html>what a proxy adds</html>\n",
        frame({"choices": [{"delta": {"content": "Hi"}}, {"index": 1, "delta": {"content": "Ho"}}]}) + END,
        frame({"choices": [{"delta": {"content": "Hi", "role": "assistant", "tool_calls": None}}], "id": 1}) + END,
        frame({**chunk("Hi"), "usage": "none of your business"}) + END,
    ],
)
def test_dialects(data: bytes) -> None:
    assert read(data) == [Text("Hi"), Finished("stop")]


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, Usage(3, 2, 5)),
        ({"prompt_tokens": 3}, Usage(3, 0, 3)),
        ({"prompt_tokens": 3, "completion_tokens": None, "prompt_tokens_details": None}, Usage(3, 0, 3)),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(3, 2, 5, InputTokensDetails(1), OutputTokensDetails(2)),
        ),
        ({"prompt_tokens": "three"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_usage_in_the_finish_chunk_or_after_it(usage: Any, read_as: Usage | None) -> None:
    assert read(frame({**chunk("Hi", finish_reason="stop"), "usage": usage}))[-1] == Finished("stop", read_as)
    after = frame({"choices": [], "usage": usage})
    assert read(END, after, DONE)[-1] == Finished("stop", read_as)


@pytest.mark.parametrize(
    ("given", "meant"), [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("?", "stop")]
)
def test_reasons(given: str, meant: str) -> None:
    finished = read(frame(chunk("Hi", finish_reason=given)))[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == meant


@pytest.mark.parametrize("data", [b"", frame(chunk("Hi")), frame(chunk("Hi")) + DONE, DONE, b": only a comment\n\n"])
def test_a_stream_without_a_finish_reason_broke_off(data: bytes) -> None:
    with pytest.raises(UpstreamError, match="broke off"):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xfe\xff{]]] this is neither JSON nor an event stream\r\n",
        b"<html>Bad gateway</html>\n",
        b'{"error": {"message": "whole, not streamed"}}\n',
        b"data: {\n\n",
        b"data: \xff\n\n",
        b"data: []\n\n",
        b'data: {"choices": "none"}\n\n',
        frame(chunk("Hi"))[:-9],
    ],
)
def test_what_is_no_stream_is_refused(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        read(data)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "secret detail", "code": 429}, RateLimited),
        ({"message": "secret detail", "code": "429"}, RateLimited),
        ({"message": "secret detail", "code": "rate_limit_exceeded"}, RateLimited),
        ({"message": "secret detail", "type": "server_error"}, UpstreamError),
        ("secret detail", UpstreamError),
        (["secret detail"], UpstreamError),
    ],
)
def test_an_error_in_the_stream(error: object, kind: type[Exception]) -> None:
    reading = ChatReading()
    assert reading.feed(frame(chunk("Hi"))) == [Text("Hi")]
    with pytest.raises(kind) as raised:
        reading.feed(frame({"error": error}))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("thought", [{"reasoning_content": "Hm."}, {"reasoning": "Hm."}])
def test_a_thought_is_a_beginning_and_says_nothing(thought: dict[str, str]) -> None:
    reading = ChatReading()
    assert reading.feed(frame({"choices": [{"delta": {"role": "assistant", "content": ""}}]})) == []
    assert not reading.has_begun
    assert reading.feed(frame({"choices": [{"delta": thought}]})) == []
    assert reading.has_begun


def test_a_comment_is_no_event() -> None:
    reading = ChatReading()
    reading.feed(b": keep-alive\n\n" * 3)
    assert (reading.has_begun, reading.event_count) == (False, 0)
    reading.feed(frame(chunk("Hi")))
    assert (reading.has_begun, reading.event_count) == (True, 1)


def test_one_long_event_in_small_pieces_is_read_in_linear_time() -> None:
    long = frame(chunk("word " * 400_000)) + END
    reading = ChatReading()
    began = time.perf_counter()
    signals = [signal for start in range(0, len(long), 16) for signal in reading.feed(long[start : start + 16])]
    # 125,000 pieces: about 0.1 s when each byte is copied once, more than a minute when every piece copies the line.
    assert time.perf_counter() - began < 5
    assert signals == [Text("word " * 400_000)]


def test_an_event_without_end_is_refused() -> None:
    reading = ChatReading()
    with pytest.raises(UpstreamError):
        feed_forever(reading, [b"data: " + b"x" * 1024 * 1024] * (MAX_EVENT_BYTES // 2**20 + 1))


def feed_forever(reading: ChatReading, parts: Sequence[bytes]) -> None:
    """Feed all of it, or until it is refused."""
    for part in parts:
        reading.feed(part)


def test_the_body_asks_for_what_was_asked_for_and_no_more() -> None:
    messages = [ModelMessage("system", "Be brief."), ModelMessage("developer", "Very."), ModelMessage("user", "Hi")]
    assert model_body(ModelRequest(model="m"), messages) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "Very."},
            {"role": "user", "content": "Hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    asked = model_body(ModelRequest(model="m", temperature=0.0, top_p=1.0, max_output_tokens=16), [])
    assert {"temperature", "top_p", "max_completion_tokens"} <= set(asked)
    assert "presence_penalty" not in asked

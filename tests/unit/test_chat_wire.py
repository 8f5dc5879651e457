"""`ChatReading` reads every dialect of Chat Completions, cut anywhere."""

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.adapters.openai.chat_stream import ChatReading, Interest
from prompts.adapters.openai.lines import MAX_EVENT_BYTES
from prompts.domain.signals import Argued, Called, Finished, Refused, Signal, Text, Thought
from prompts.domain.usage import InputTokensDetails, OutputTokensDetails, Usage
from prompts.errors import InvalidImage, PromptTooLong, RateLimited, UpstreamError
from tests.support.chat_chunks import ALL, DONE, END, chunk, delta, frame, logprob, read, read_logprob

Words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Signal]]:
    """A stream in some dialect, and its signals when everything is requested: reasoning, text, refusals, calls."""
    said: list[Signal] = []
    data = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b": hello\n\n", b"retry: 10\n\n"]))
    for word in draw(st.lists(Words, max_size=4)):
        data += frame({"choices": [{"delta": {draw(st.sampled_from(["reasoning_content", "reasoning"])): word}}]})
        said.append(Thought(word))
    for word in draw(st.lists(Words, max_size=6)):
        is_text = draw(st.booleans())
        logprobs = {"logprobs": {"content": [logprob(word)]}} if is_text else {}
        data += frame({"choices": [{"delta": {"content" if is_text else "refusal": word}, **logprobs}]})
        said.append(Text(word, [read_logprob(word)]) if is_text else Refused(word))
    for index, words in enumerate(draw(st.lists(st.lists(Words, min_size=1, max_size=3), max_size=3))):
        called = {"index": index, "id": f"call_{index}", "function": {"name": "f", "arguments": ""}}
        deltas = [called, *({"index": index, "function": {"arguments": word}} for word in words)]
        data += b"".join(frame({"choices": [{"delta": {"tool_calls": [delta]}}]}) for delta in deltas)
        said += [Called(index, f"call_{index}", "f"), *(Argued(index, word) for word in words)]
    data += END + draw(st.sampled_from([b"", DONE, DONE[:-2], DONE[:-1] + b"rubbish"]))
    line_end = draw(st.sampled_from([b"\n", b"\r\n"]))
    return data.replace(b"\n", line_end), [*said, Finished("stop")]


@settings(deadline=None)  # the machine is shared
@given(streams(), st.lists(st.integers(0, 900), max_size=8))
def test_any_cut_of_any_dialect_says_the_same(stream: tuple[bytes, list[Signal]], cuts: list[int]) -> None:
    data, said = stream
    bounds = [0, *sorted(cuts), len(data)]
    assert read(*(data[begin:end] for begin, end in pairwise(bounds)), interest=ALL) == said
    assert read(*(bytes([byte]) for byte in data), interest=ALL) == said


@settings(deadline=None)
@given(streams())
def test_who_did_not_ask_for_thoughts_and_likelihoods_is_not_told_them(stream: tuple[bytes, list[Signal]]) -> None:
    data, said = stream
    without = [Text(signal.text) if isinstance(signal, Text) else signal for signal in said]
    assert read(data) == [signal for signal in without if not isinstance(signal, Thought)]


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
        ({"message": "secret detail", "code": "context_length_exceeded"}, PromptTooLong),
        ({"message": "secret detail", "type": "exceed_context_size_error", "code": 400}, PromptTooLong),
        ({"message": "secret detail: the maximum context length is 4096 tokens"}, PromptTooLong),
        ({"message": "secret detail", "code": "invalid_base64_image"}, InvalidImage),
        ({"message": None, "code": None, "type": None}, UpstreamError),
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


THOUGHTS = [{"reasoning_content": "Hm."}, {"reasoning": "Hm."}, {"reasoning_content": "Hm.", "reasoning": "Hm."}]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_a_thought_is_a_beginning_and_says_nothing_to_who_did_not_ask(thought: dict[str, str]) -> None:
    reading = ChatReading()
    assert reading.feed(delta(role="assistant", content="")) == []
    assert not reading.has_begun
    assert reading.feed(delta(**thought)) == []
    assert reading.has_begun


@pytest.mark.parametrize("thought", THOUGHTS)
def test_a_thought_is_told_once_to_who_asked(thought: dict[str, str]) -> None:
    reading = ChatReading(Interest(has_thoughts=True))
    assert reading.feed(delta(**thought)) == [Thought("Hm.")]
    assert reading.feed(delta(content="Hi")) == [Text("Hi")]


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
    # 125,000 pieces: about 0.1 s when each byte is copied once, over a minute when every piece copies the line.
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

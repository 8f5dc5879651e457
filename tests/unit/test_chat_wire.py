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
from prompts.adapters.openai.errors import find_server_words
from prompts.adapters.openai.lines import MAX_EVENT_BYTES
from prompts.domain.signals import Argued, Called, Finished, Refused, Signal, Text, Thought
from prompts.domain.usage import InputTokensDetails, OutputTokensDetails, Usage
from prompts.errors import (
    InvalidImage,
    InvalidPrompt,
    NotFound,
    PromptTooLong,
    RateLimited,
    ServiceError,
    UpstreamError,
    UpstreamTimeout,
)
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
    for index, words in enumerate(draw(st.lists(st.lists(Words, max_size=3), max_size=3))):
        pieces = ['{"', *(msgspec.json.encode(word).decode()[1:-1] for word in words), '":1}']
        called = {"index": index, "id": f"call_{index}", "function": {"name": "f", "arguments": ""}}
        deltas = [called, *({"index": index, "function": {"arguments": piece}} for piece in pieces)]
        data += b"".join(frame({"choices": [{"delta": {"tool_calls": [delta]}}]}) for delta in deltas)
        said += [Called(index, f"call_{index}", "f"), *(Argued(index, piece) for piece in pieces)]
    data += END + draw(st.sampled_from([b"", DONE, DONE[:-2], DONE[:-1] + b"rubbish"]))
    line_end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
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
        frame(chunk("Hi")).replace(b", ", b",\ndata: ").replace(b'"choices"', b'\ndata: "choices"') + END,
        frame(chunk("Hi")).replace(b"\n", b"\r") + END.replace(b"\n", b"\r"),
        frame(chunk("Hi"))[:-1] + END[:-1] + DONE[:-1],
        b"data: null\n\ndata: []\n\ndata: 7\n\ndata: : a relay's\n\ndata: ping\n\n" + frame(chunk("Hi")) + END,
        b"unknown: field\nid\n" + frame(chunk("Hi")) + END,
        frame({"object": "chat.completion.chunk", "id": "x", "message": "", "code": 0}) + frame(chunk("Hi")) + END,
        b"event: ping\n" + frame({"type": "ping"}) + frame(chunk("Hi")) + END,
        b"data: " + frame(chunk("Hi")) + b"data: " + END + b"data: " + DONE,
        b"data: " + msgspec.json.encode(frame(chunk("Hi"))[6:].decode()) + b"\n\n" + END,
        frame(chunk("Hi")).strip() + b" " + END[6:] + DONE,
        frame({"choices": [{"delta": {}, "message": {"content": "Hi"}, "finish_reason": "stop"}]}),
        frame(chunk("Hi")) + frame({"choices": [{"delta": {}, "message": {"content": "Hi"}, "finish_reason": "stop"}]}),
        frame({"choices": "none"}) + frame(chunk("Hi")) + END,
        b"<!-- a proxy was here -->\n" + frame(chunk("Hi")) + END,
        frame(chunk("Hi")) + END + b'data: "[DONE]"\n\n' + frame(chunk("late")),
        frame({"choices": [{"delta": None}]}) + frame(chunk("Hi")) + END,
        frame({"choices": [{}]}) + frame(chunk("")) + frame(chunk("Hi")) + END,
        frame({**chunk("Hi"), "usage": None, "error": None}) + END,
        frame(chunk("Hi", finish_reason="")) + END,
        frame(chunk("Hi", finish_reason="tool_calls")),
        frame(chunk("Hi", finish_reason="eos_token")),
        frame(chunk("Hi", finish_reason="null")) + END,
        frame({"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}),
        frame({"choices": {"index": "0", "delta": {"content": "Hi"}}}) + END,
        frame({"choices": [{"index": 1, "delta": {"content": "Ho"}}]}) + frame(chunk("Hi")) + END,
        frame({"choices": [{"index": 1, "delta": {"content": "Ho"}}, {"index": 0, "delta": {"content": "Hi"}}]}) + END,
        msgspec.json.encode({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}),
        msgspec.json.format(
            msgspec.json.encode({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "error": None})
        ),
        b'[{"choices": [{"delta": {"content": "Hi"}}]},\n{"choices": [{"finish_reason": "stop"}]}]',
        b'{"choices": [{"delta": {"content": "Hi"}}]}\n{"choices": [{"finish_reason": "stop"}]}\n',
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
        ({"prompt_tokens": 3.0, "completion_tokens": 2.0}, Usage(3, 2, 5)),
        ({"prompt_tokens": "3", "completion_tokens": "many"}, Usage(3, 0, 3)),
        ({"input_tokens": 3, "output_tokens": 2, "prompt_cache_hit_tokens": 2}, Usage(3, 2, 5, InputTokensDetails(2))),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 4}},
            Usage(9, 1, 10, InputTokensDetails(0, 4)),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "cache_creation_input_tokens": 4},
            Usage(9, 1, 10, InputTokensDetails(0, 4)),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 1, "cache_creation_input_tokens": 9},
            Usage(3, 1, 4, InputTokensDetails(0, 3)),
        ),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(3, 0, 3, InputTokensDetails(3))),
        ({"prompt_tokens": -3, "completion_tokens": 2}, None),
        ({"prompt_tokens": 3, "completion_tokens": 10**30}, None),
        ({"prompt_tokens": 3, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": -1}}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": "three"}, None),
        ([3, 2], None),
        ({}, None),
        (None, None),
    ],
)
def test_usage_in_the_finish_chunk_or_after_it(usage: Any, read_as: Usage | None) -> None:
    assert read(frame({**chunk("Hi", finish_reason="stop"), "usage": usage}))[-1] == Finished("stop", read_as)
    after = frame({"choices": [], "usage": usage})
    assert read(END, after, DONE)[-1] == Finished("stop", read_as)


def test_the_latest_usage_counts_and_not_the_sum() -> None:
    usages = [{"prompt_tokens": 3, "completion_tokens": count} for count in (1, 2, 0)]
    data = b"".join(frame({**chunk("Hi"), "usage": usage}) for usage in usages[:2])
    assert read(data, END)[-1] == Finished("stop", Usage(3, 2, 5))
    blank = frame({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}})
    assert read(data, END, blank)[-1] == Finished("stop", Usage(3, 2, 5))


@pytest.mark.parametrize(
    "where",
    [
        {"choices": [{"delta": {}, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}]},
        {"choices": [], "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}},
    ],
)
def test_usage_in_other_places(where: dict[str, Any]) -> None:
    assert read(frame(where), END)[-1] == Finished("stop", Usage(3, 2, 5))


@pytest.mark.parametrize(
    ("meant", "words"),
    [
        ("stop", ["stop", "STOP", "tool_calls", "function_call", "eos", "eos_token", "end_turn"]),
        ("length", ["length", "max_tokens", "MAX_TOKENS", "model_length"]),
        ("content_filter", ["content_filter", "SAFETY", "RECITATION", "PROHIBITED_CONTENT"]),
    ],
)
def test_reasons(meant: str, words: list[str]) -> None:
    for word in words:
        finished = read(frame(chunk("Hi", finish_reason=word)))[-1]
        assert isinstance(finished, Finished)
        assert finished.reason == meant, word


@pytest.mark.parametrize(
    "word", ["error", "abort", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL", "?", "stopped", {"a": 1}, 7]
)
def test_an_end_that_is_none_is_a_failure_after_what_was_said(word: Any) -> None:
    reading = ChatReading()
    assert reading.feed(frame(chunk("Hi", finish_reason=word)) + DONE) == [Text("Hi")]
    with pytest.raises(UpstreamError, match="before it was whole"):
        reading.finish()


@pytest.mark.parametrize("later", [{"finish_reason": "stop"}, {}])
def test_a_reason_that_text_follows_is_an_end_when_the_stream_ends(later: dict[str, Any]) -> None:
    reading = ChatReading()
    seen: list[bool] = []
    for data in (chunk("H", finish_reason="stop"), chunk("i", **later), {"choices": [{"finish_reason": "stop"}]}):
        reading.feed(frame(data))
        seen.append(reading.has_reason)
    assert seen == [True, False, True]
    assert reading.finish() == [Finished("stop")]


@pytest.mark.parametrize("data", [frame(chunk("Hi")), frame(chunk("Hi")) + DONE, DONE, frame({"id": "x"})])
def test_a_stream_without_a_finish_reason_broke_off(data: bytes) -> None:
    with pytest.raises(UpstreamError, match="broke off"):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b": only a comment\n\n",
        b"\x00\xfe\xff{]]] this is neither JSON nor an event stream\r\n",
        b"<html>Bad gateway</html>\n",
        b"data: {\n\n",
        b"{\n",
        b"data: \xff\n\n",
        b"data: []\n\n",
        b"data: " + b"[" * 2000 + b"\n\n",
        frame(chunk("Hi"))[:-9],
    ],
)
def test_what_is_no_stream_is_refused(data: bytes) -> None:
    with pytest.raises(UpstreamError, match="not an answer"):
        read(data)


@pytest.mark.timed
def test_one_event_holds_no_chunks_without_end() -> None:
    reading = ChatReading()
    began = time.perf_counter()
    assert reading.feed(b"data: " + b"{} " * 5_000_000 + b"\n\n") == []
    with pytest.raises(UpstreamError):
        reading.finish()
    assert time.perf_counter() - began < 5


def test_broken_json_in_the_middle_is_a_failure_for_there_may_have_been_words_in_it() -> None:
    reading = ChatReading()
    assert reading.feed(frame(chunk("Hi")) + frame(chunk("Ho"))[:-9] + b"\n\n" + frame(chunk("!")) + END) == [
        Text("Hi")
    ]
    with pytest.raises(UpstreamError, match="not an answer"):
        reading.finish()


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
        ({"message": "secret detail", "code": 400}, InvalidPrompt),
        ({"message": "secret detail", "type": "BadRequestError", "code": "422"}, InvalidPrompt),
        ({"message": "secret detail", "code": 404, "param": "model"}, NotFound),
        ({"message": "secret detail", "code": 504}, UpstreamTimeout),
        ({"message": "secret detail", "code": 502}, UpstreamError),
        ({"message": "secret detail", "type": "overloaded_error"}, UpstreamError),
        ({"error": {"message": "secret detail", "code": 429}}, RateLimited),
    ],
)
def test_an_error_in_the_stream_is_told_after_what_was_said(error: object, kind: type[ServiceError]) -> None:
    failed = frame({"error": error})
    beside = frame({"error": error, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]})
    bare, listed = b"%b\n" % failed[6:], b"data: [%b]\n\n" % failed[6:].strip()
    for failure in (failed, beside, bare, listed):
        reading = ChatReading()
        assert reading.feed(frame(chunk("Hi")) + failure + END) == [Text("Hi")]
        with pytest.raises(kind) as raised:
            reading.finish()
        assert "secret" not in str(raised.value)
        told = find_server_words(raised.value)
        assert told is not None


@pytest.mark.parametrize(
    "failure",
    [
        b'event: error\ndata: {"message": "boom", "code": 500}\n\n',
        b"event: error\ndata: boom\n\n",
        frame({"object": "error", "message": "boom", "type": "InternalServerError", "param": None, "code": 500}),
        frame({"type": "error", "message": "boom"}),
        frame({"detail": "boom"}),
        frame({"code": 500, "message": "boom"}),
        frame({"error": "boom"}),
    ],
)
def test_an_error_in_any_form_keeps_its_words_for_the_log(failure: bytes) -> None:
    reading = ChatReading()
    assert reading.feed(frame(chunk("Hi")) + failure) == [Text("Hi")]
    with pytest.raises(UpstreamError) as raised:
        reading.finish()
    told = find_server_words(raised.value)
    assert told is not None
    assert "boom" in told.words


@pytest.mark.parametrize(
    ("parts", "is_empty"),
    [
        ([END], True),
        ([frame(chunk("")), END, DONE], True),
        ([delta(reasoning="Hm."), END], True),
        ([END, frame({"usage": {"prompt_tokens": 3, "completion_tokens": 0}})], True),
        ([END, frame({"usage": {"prompt_tokens": 3, "completion_tokens": 2}})], False),
        ([frame(chunk(" ")), END], False),
        ([delta(refusal="No."), END], False),
        ([delta(tool_calls=[{"index": 0, "function": {"name": "f"}}]), END], False),
        ([frame(chunk("", finish_reason="length"))], False),
        ([frame(chunk("", finish_reason="content_filter"))], False),
    ],
)
def test_an_answer_that_says_nothing_is_empty(parts: list[bytes], is_empty: bool) -> None:
    reading = ChatReading()
    feed_forever(reading, parts)
    reading.finish()
    assert reading.is_empty == is_empty


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (frame(chunk("H?i")).replace(b"?", b"\xff"), "H\ufffdi"),
        (frame(chunk("a?b")).replace(b"?", b"\x01"), "a\x01b"),
        (frame(chunk("é€😀")), "é€😀"),
        (frame(chunk("?")).replace(b"?", b"\\ud83d") + frame(chunk("?!")).replace(b"?", b"\\ude00"), "😀!"),
        (frame(chunk("?")).replace(b"?", b"a\\ud83d") + frame(chunk("b")), "a\ufffdb"),
        (frame(chunk("?")).replace(b"?", b"a\\ud83d"), "a\ufffd"),
        (frame(chunk("?")).replace(b"?", b"a\\ude00"), "a\ufffd"),
        (frame(chunk("Hi")).replace(b'"Hi"', b'{"type": "text", "text": "Hi"}'), "Hi"),
        (frame(chunk("Hi")).replace(b'"Hi"', b"5"), "5"),
        (frame(chunk("Hi")).replace(b'"Hi"', b'["H", {"text": "i"}, {"type": "reference", "text": "x"}]'), "Hi"),
        (frame({"choices": [{"delta": "Hi"}]}), "Hi"),
    ],
)
def test_odd_text_is_read(data: bytes, said: str) -> None:
    for parts in ([data], [bytes([byte]) for byte in data]):
        signals = read(*parts, END)
        assert "".join(signal.text for signal in signals if isinstance(signal, Text)) == said


def test_half_a_character_of_arguments_waits_for_the_other_half() -> None:
    first = delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":"?'}}])
    second = delta(tool_calls=[{"index": 0, "function": {"arguments": '?"}'}}])
    signals = read(first.replace(b"?", b"\\ud83d"), second.replace(b"?", b"\\ude00"), END)
    assert signals == [Called(0, "a", "f"), Argued(0, '{"x":"'), Argued(0, '😀"}'), Finished("stop")]


def test_mistrals_parts_are_thoughts_and_text() -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    data = [delta(content=thinking), delta(content=[{"type": "text", "text": "Hi"}]), delta(content=" there")]
    assert read(*data, END) == [Text("Hi"), Text(" there"), Finished("stop")]
    assert read(*data, END, interest=ALL) == [Thought("Hm."), Text("Hi"), Text(" there"), Finished("stop")]


THOUGHTS: list[dict[str, Any]] = [
    {"reasoning_content": "Hm."},
    {"reasoning": "Hm."},
    {"reasoning_content": "Hm.", "reasoning": "Hm."},
    {"reasoning": {"text": "Hm."}},
    {"reasoning_text": "Hm."},
    {"thinking": "Hm."},
    {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
    {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
    {
        "reasoning_details": [
            {"type": "reasoning.summary", "summary": "Hm."},
            {"type": "reasoning.encrypted", "data": "x"},
        ]
    },
]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_a_thought_is_a_beginning_and_says_nothing_to_who_did_not_ask(thought: dict[str, Any]) -> None:
    reading = ChatReading()
    assert reading.feed(delta(role="assistant", content="")) == []
    assert not reading.has_begun
    assert reading.feed(delta(**thought)) == []
    assert reading.has_begun


@pytest.mark.parametrize("thought", THOUGHTS)
def test_a_thought_is_told_once_to_who_asked(thought: dict[str, Any]) -> None:
    reading = ChatReading(Interest(has_thoughts=True))
    assert reading.feed(delta(**thought)) == [Thought("Hm.")]
    assert reading.feed(delta(content="Hi")) == [Text("Hi")]


def test_a_comment_is_no_event() -> None:
    reading = ChatReading()
    reading.feed(b": keep-alive\n\n" * 3)
    assert (reading.has_begun, reading.event_count) == (False, 0)
    reading.feed(frame(chunk("Hi")))
    assert (reading.has_begun, reading.event_count) == (True, 1)


@pytest.mark.timed
def test_one_long_event_in_small_pieces_is_read_in_linear_time() -> None:
    long = frame(chunk("word " * 400_000)) + END
    reading = ChatReading()
    began = time.perf_counter()
    signals = [signal for start in range(0, len(long), 16) for signal in reading.feed(long[start : start + 16])]
    # 125,000 pieces: about 0.1 s when each byte is copied once, over a minute when every piece copies the line.
    assert time.perf_counter() - began < 5
    assert signals == [Text("word " * 400_000)]


@pytest.mark.timed
def test_one_event_of_many_lines_is_read_in_linear_time() -> None:
    lines = [b'data: {"choices":', *[b"data:  "] * 100_000, b'data: [{"delta":{"content":"Hi"}}]}', b"\n"]
    reading = ChatReading()
    began = time.perf_counter()
    assert reading.feed(b"\n".join(lines)) == [Text("Hi")]
    assert time.perf_counter() - began < 5


def test_an_event_without_end_is_refused() -> None:
    reading = ChatReading()
    feed_forever(reading, [b"data: " + b"x" * 1024 * 1024] * (MAX_EVENT_BYTES // 2**20 + 1))
    with pytest.raises(UpstreamError):
        reading.finish()


def feed_forever(reading: ChatReading, parts: Sequence[bytes]) -> None:
    """Feed all of it, or until it is refused."""
    for part in parts:
        reading.feed(part)
        if reading.is_done:
            break

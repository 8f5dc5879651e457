"""`ResponsesReading` reads a Responses stream, cut anywhere, in every known dialect."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.adapters.openai.chat_calls import MAX_CALLS
from prompts.adapters.openai.responses_stream import ResponsesReading
from prompts.domain.items import Logprob, TopLogprob
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import (
    Argued,
    BegunAnew,
    Called,
    Finished,
    Opened,
    Refused,
    Sealed,
    Signal,
    Summarized,
    Text,
    Thought,
)
from prompts.domain.text import ReasoningConfig
from prompts.domain.usage import InputTokensDetails, OutputTokensDetails, Usage
from prompts.errors import InvalidImage, InvalidPrompt, PromptTooLong, RateLimited, UpstreamError

Words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
PLAIN = ModelRequest(model="m")
THINKING = ModelRequest(model="m", reasoning=ReasoningConfig(effort="low"))


def event(kind: str, **fields: Any) -> bytes:
    """An event on the wire, in OpenAI's framing."""
    data = msgspec.json.encode({"type": kind, "sequence_number": 0, **fields})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def delta(kind: str, text: str, index: int = 0, **fields: Any) -> bytes:
    """A delta event."""
    return event(f"response.{kind}.delta", item_id="i", output_index=index, delta=text, **fields)


def item(what: str, index: int, **fields: Any) -> bytes:
    """An item event: `added` or `done`."""
    return event(f"response.output_item.{what}", output_index=index, item={"id": f"i{index}", **fields})


def end(status: str = "completed", **fields: Any) -> bytes:
    """The terminal event."""
    return event(f"response.{status}", response={"id": "resp_1", "status": status, "output": [], **fields})


GREETING = event("response.created", response={"status": "in_progress"}) + event("response.in_progress", response={})
HI = delta("output_text", "Hi")
END = end()


def read(*parts: bytes, request: ModelRequest = PLAIN) -> list[Signal]:
    """The signals of a whole stream that comes in these parts."""
    reading = ResponsesReading(request)
    signals = [signal for part in parts for signal in reading.feed(part)]
    return signals + reading.finish()


def list_said(*parts: bytes) -> tuple[list[Signal], Exception | None]:
    """The same, and the error of the stream."""
    reading, signals = ResponsesReading(PLAIN), list[Signal]()
    try:
        for part in parts:
            signals += reading.feed(part)
        signals += reading.finish()
    except (UpstreamError, RateLimited, InvalidPrompt) as error:
        return signals, error
    return signals, None


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Signal]]:
    """A stream in some dialect, and its signals."""
    said: list[Signal] = []
    data = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b": hello\n\n", GREETING]))
    for word in draw(st.lists(Words, max_size=6)):
        kind = draw(st.sampled_from(["output_text", "refusal", "reasoning_text", "unheard_of"]))
        data += delta(kind, word)
        if kind in {"output_text", "refusal"}:
            said.append(Text(word) if kind == "output_text" else Refused(word))
    data += END + draw(st.sampled_from([b"", b"data: [DONE]\n\n", b"rubbish"]))
    line_end = draw(st.sampled_from([b"\n", b"\r\n"]))
    return data.replace(b"\n", line_end), [*said, Finished("stop")]


@settings(deadline=None)  # the machine is shared
@given(streams(), st.lists(st.integers(0, 900), max_size=8))
def test_any_cut_of_any_dialect_says_the_same(stream: tuple[bytes, list[Signal]], cuts: list[int]) -> None:
    data, said = stream
    bounds = [0, *sorted(cuts), len(data)]
    assert read(*(data[begin:stop] for begin, stop in pairwise(bounds))) == said
    assert read(*(bytes([byte]) for byte in data)) == said


@pytest.mark.parametrize("failure", [end("failed"), event("error", code="x"), b"<html>\n", b"data: {\n\n", b""])
def test_what_was_said_before_a_failure_is_said_however_it_is_cut(failure: bytes) -> None:
    data = GREETING + HI + failure
    for parts in ([data], [bytes([byte]) for byte in data]):
        said, error = list_said(*parts)
        assert said == [Text("Hi")]
        assert isinstance(error, UpstreamError)


@pytest.mark.parametrize(
    "data",
    [
        GREETING + HI + END,
        HI + END,
        HI + END + b"data: [DONE]\n\n",
        HI + END + b"<html>what a proxy adds</html>\n",
        (HI + END).replace(b"\n", b"\r\n"),
        b"\n\n".join(frame.partition(b"\n")[2] for frame in (HI + END).split(b"\n\n")[:-1]) + b"\n\n",
        HI + END.rstrip(),
        event("response.queued", response=None) + HI + END,
        event("keepalive") + HI + event("response.metadata", delta={"a": 1}, item=3, logprobs="x", code=7) + END,
        item("added", 0, type="message", role="assistant", content=[], phase=None) + HI + END,
        item("added", 0, type="message", phase="unheard of") + HI + item("done", 0, type="message") + END,
        item("added", 0, type="web_search_call", status="in_progress") + item("done", 0, type="x") + HI + END,
        item("added", 0, type="reasoning", summary=[]) + delta("reasoning_text", "Hm") + HI + END,
        delta("output_text", "Hi", logprobs=[{"token": "Hi", "logprob": -0.1}]) + END,
        delta("output_text", "Hi", logprobs=None, obfuscation="xyz") + END,
        HI + event("response.completed", response={"usage": "none of your business"}),
    ],
)
def test_dialects(data: bytes) -> None:
    assert read(data) == [Text("Hi"), Finished("stop")]


def test_thoughts_are_said_to_who_asks_for_reasoning() -> None:
    data = (
        item("added", 0, type="reasoning")
        + delta("reasoning_text", "Hm")
        + delta("reasoning", "!")
        + delta("reasoning_summary_text", "In short", summary_index=0)
        + delta("reasoning_summary_text", "Again", summary_index=1)
        + item("done", 0, type="reasoning", encrypted_content="sealed")
    )
    thoughts = [Thought("Hm"), Thought("!"), Summarized("In short", 0), Summarized("Again", 1)]
    assert read(data, HI, END, request=THINKING) == [*thoughts, Sealed("sealed"), Text("Hi"), Finished("stop")]
    summed_up = ModelRequest(model="m", reasoning=ReasoningConfig(summary="auto"))
    assert read(data, END, request=summed_up) == [*thoughts, Sealed("sealed"), Finished("stop")]
    for effort in (None, "none"):
        unasked = ModelRequest(model="m", reasoning=ReasoningConfig(effort=effort))
        assert read(data, END, request=unasked) == [Sealed("sealed"), Finished("stop")]


def test_seals_are_not_told_where_nothing_goes_back() -> None:
    reading = ResponsesReading(THINKING, keeps_thoughts=False)
    assert reading.feed(item("done", 0, type="reasoning", encrypted_content="sealed") + HI) == [Text("Hi")]


def test_thoughts_side_by_side_are_items_of_their_own() -> None:
    one = delta("reasoning_summary_text", "One", 0) + item("done", 0, type="reasoning", encrypted_content="1")
    two = delta("reasoning_summary_text", "Two", 1) + item("done", 1, type="reasoning", encrypted_content="2")
    said = [Summarized("One"), Sealed("1"), BegunAnew(), Summarized("Two"), Sealed("2")]
    assert read(one, two, END, request=THINKING) == [*said, Finished("stop")]
    message = item("added", 1, type="message", phase="commentary")
    assert BegunAnew() not in read(one, message, two, END, request=THINKING)


def test_messages_are_told_apart() -> None:
    data = (
        item("added", 0, type="message", phase="commentary")
        + delta("output_text", "Wait")
        + item("added", 1, type="message", phase="final_answer")
        + delta("output_text", "Hi", 1)
        + item("added", 2, type="message")
        + delta("refusal", "No", 2)
    )
    assert read(data, END) == [
        *(Opened("commentary"), Text("Wait"), Opened("final_answer"), Text("Hi")),
        *(Opened(None), Refused("No"), Finished("stop")),
    ]


CALL: dict[str, Any] = {"type": "function_call", "call_id": "call_1", "name": "get_time"}


def test_calls_that_take_turns() -> None:
    data = (
        item("added", 1, **CALL, arguments="")
        + item("added", 2, **{**CALL, "call_id": "call_2"}, arguments="")
        + delta("function_call_arguments", '{"a"', 1)
        + delta("function_call_arguments", "{}", 2)
        + delta("function_call_arguments", ":1}", 1)
        + item("done", 1, **CALL, arguments='{"a":1}')
        + item("done", 2, **{**CALL, "call_id": "call_2"}, arguments="{}")
    )
    assert read(data, END) == [
        *(Called(1, "call_1", "get_time"), Called(2, "call_2", "get_time")),
        *(Argued(1, '{"a"'), Argued(2, "{}"), Argued(1, ":1}"), Finished("stop")),
    ]


@pytest.mark.parametrize("opening", [b"", item("added", 0, **CALL, arguments=""), item("added", 0, **CALL)])
def test_a_call_may_come_whole(opening: bytes) -> None:
    said = [Called(0, "call_1", "get_time"), Argued(0, "{}"), Finished("stop")]
    assert read(opening + item("done", 0, **CALL, arguments="{}") + END) == said


@pytest.mark.parametrize("call_id", [None, "", "a\x00b", "x" * 65])
def test_an_id_that_could_not_come_back_is_replaced(call_id: str | None) -> None:
    signals = read(item("added", 0, **{**CALL, "call_id": call_id}) + item("done", 0, **CALL, arguments="{}") + END)
    assert isinstance(signals[0], Called)
    assert signals[0].call_id.startswith("call_")
    assert signals[0].call_id != call_id


def test_a_call_that_was_cut_is_never_completed() -> None:
    cut = item("added", 0, **CALL) + delta("function_call_arguments", '{"city": "Par') + item("done", 0, **CALL)
    assert read(cut, END)[-1] == Finished("length")


def test_no_answer_has_calls_without_end() -> None:
    calls = b"".join(item("added", n, **{**CALL, "call_id": f"call_{n}"}) for n in range(MAX_CALLS + 1))
    with pytest.raises(UpstreamError):
        read(calls, END)


@pytest.mark.parametrize(
    ("parts", "is_empty"),
    [
        ([END], True),
        ([item("added", 0, type="message"), END], True),
        ([HI, END], False),
        ([delta("refusal", "No"), END], False),
        ([item("added", 0, **CALL), END], False),
        ([end(usage={"input_tokens": 3, "output_tokens": 2})], False),
        ([end("incomplete")], False),
    ],
)
def test_an_answer_that_says_nothing_is_empty(parts: list[bytes], is_empty: bool) -> None:
    reading = ResponsesReading(PLAIN)
    feed_all(reading, parts)
    reading.finish()
    assert reading.is_empty == is_empty


def test_likelihoods_are_said_to_who_asks() -> None:
    likely = {"token": "Hi", "logprob": -0.5, "top_logprobs": [{"token": "Ho", "logprob": -1.5, "bytes": [72]}]}
    asked = ModelRequest(model="m", wants_logprobs=True)
    logprobs = [Logprob("Hi", -0.5, [], [TopLogprob("Ho", -1.5, [72])])]
    assert read(delta("output_text", "Hi", logprobs=[likely]), END, request=asked)[0] == Text("Hi", logprobs)
    for odd in ([], None, [{"token": None}], "none"):
        assert read(delta("output_text", "Hi", logprobs=odd), END, request=asked)[0] == Text("Hi")
    assert read(HI, END, request=asked)[0] == Text("Hi")


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (END, "stop"),
        (end("incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (end("incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (end("incomplete", incomplete_details={"reason": "something new"}), "length"),
        (end("incomplete"), "length"),
        (event("response.completed", response={"status": "incomplete", "incomplete_details": None}), "length"),
    ],
)
def test_reasons(ending: bytes, reason: str) -> None:
    finished = read(HI, ending)[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == reason


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        ({"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}, Usage(3, 2, 5)),
        ({"input_tokens": 3, "output_tokens": None, "input_tokens_details": None}, Usage(3, 0, 3)),
        (
            {
                "input_tokens": 3,
                "output_tokens": 2,
                "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
                "output_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(3, 2, 5, InputTokensDetails(1, 2), OutputTokensDetails(2)),
        ),
        ({"input_tokens": "three"}, None),
        (None, None),
    ],
)
def test_usage(usage: Any, read_as: Usage | None) -> None:
    assert read(end(usage=usage))[-1] == Finished("stop", read_as)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"code": "rate_limit_exceeded"}, RateLimited),
        ({"code": None, "type": "rate_limit_error"}, RateLimited),
        ({"code": "invalid_prompt"}, InvalidPrompt),
        ({"code": "context_length_exceeded"}, PromptTooLong),
        ({"code": None, "type": "invalid_request_error"}, InvalidPrompt),
        ({"code": "image_too_large"}, InvalidPrompt),
        ({"code": "invalid_base64_image"}, InvalidImage),
        ({"code": "server_error"}, UpstreamError),
        ({"code": ["odd"]}, UpstreamError),
        ({}, UpstreamError),
    ],
)
def test_failures_by_their_code(told: dict[str, Any], kind: type[Exception]) -> None:
    error = {"message": "secret detail", **told}
    flat = event("error", param=None, message="secret detail", code=told.get("code") or told.get("type"))
    nested, bare = event("error", error=error), b"data: " + msgspec.json.encode({"error": error}) + b"\n\n"
    for failure in (end("failed", error=error), flat, nested, bare):
        said, raised = list_said(HI, failure)
        assert said == [Text("Hi")]
        assert type(raised) is kind
        assert "secret" not in str(raised)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_completed_event_does_not_hide_how_the_response_ended(status: str) -> None:
    with pytest.raises(UpstreamError):
        read(HI, event("response.completed", response={"status": status}))


@pytest.mark.parametrize("data", [b"", GREETING, HI, HI + b"data: [DONE]\n\n", b": only a comment\n\n", HI + END[:-20]])
def test_a_stream_without_a_terminal_event_is_a_failure(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"type": "response.output_text.delta", \n\n',
        event("response.output_text.delta", delta=None),
        event("response.output_text.delta", delta={"unheard of": 1}),
        event("response.output_item.added", item={"type": "function_call", "call_id": "call_1"}),
        event("response.completed"),
    ],
)
def test_what_cannot_be_read_is_a_failure(data: bytes) -> None:
    with pytest.raises(UpstreamError, match="not an answer"):
        read(data, END)


@pytest.mark.parametrize(
    "odd",
    [
        b"data: null\n\n",
        b"data: []\n\n",
        b"data: : a relay's comment\n\n",
        b'data: {"type": 3}\n\n',
        b'data: {"type": "response.metadata", "x": "\xff", "y": NaN}\n\n',
        b"an unknown line\n",
    ],
)
def test_what_says_nothing_spoils_nothing(odd: bytes) -> None:
    assert read(odd, HI, odd, END) == [Text("Hi"), Finished("stop")]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (HI.replace(b"Hi", b"H\xffi"), "H\ufffdi"),
        (HI.replace(b"Hi", b"\\ud83d") + HI.replace(b"Hi", b"\\ude00!"), "\U0001f600!"),
        (delta("output_text", "Hi").replace(b'"Hi"', b'{"text": "Hi"}'), "Hi"),
        (HI.replace(b"\n", b"\r"), "Hi"),
        (HI.replace(b', "', b',\ndata: "').replace(b',"', b',\ndata: "'), "Hi"),
    ],
)
def test_odd_text_is_read(data: bytes, text: str) -> None:
    signals = read(data, END)
    assert "".join(signal.text for signal in signals if isinstance(signal, Text)) == text


def test_a_response_that_came_whole_though_a_stream_was_asked_for() -> None:
    whole = {
        "object": "response",
        "status": "completed",
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": "sealed"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
            {"type": "function_call", "call_id": "call_1", "name": "get_time", "arguments": ""},
        ],
        "usage": {"input_tokens": 3.0, "output_tokens": 2},
    }
    said = [Summarized("Hm"), Sealed("sealed"), Text("Hi"), Called(2, "call_1", "get_time"), Argued(2, "{}")]
    for body in (msgspec.json.encode(whole), msgspec.json.format(msgspec.json.encode(whole))):
        assert read(body, request=THINKING) == [*said, Finished("stop", Usage(3, 2, 5))]


@pytest.mark.parametrize(
    "word",
    [
        HI,
        delta("refusal", "No"),
        delta("reasoning_text", "Hm"),
        delta("reasoning_summary_text", "Hm", summary_index=0),
        item("added", 0, **CALL),
    ],
)
def test_the_model_has_begun_with_its_own_words_only(word: bytes) -> None:
    reading = ResponsesReading(PLAIN)
    reading.feed(GREETING + b": keep-alive\n\n" + item("added", 0, type="reasoning"))
    assert (reading.has_begun, reading.event_count) == (False, 3)
    reading.feed(word)
    assert (reading.has_begun, reading.event_count) == (True, 4)


def feed_all(reading: ResponsesReading, parts: Sequence[bytes]) -> list[Signal]:
    """The signals of all parts."""
    return [signal for part in parts for signal in reading.feed(part)]


def test_nothing_is_looked_at_after_the_end() -> None:
    reading = ResponsesReading(PLAIN)
    assert feed_all(reading, [HI + END + HI, HI, end("failed")]) == [Text("Hi")]
    assert reading.is_done
    assert reading.has_reason
    assert reading.finish() == [Finished("stop")]

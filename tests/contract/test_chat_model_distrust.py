"""`ChatModel`: what every adapter promises of a server that is broken, odd or hostile, whichever protocol it speaks."""

import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from prompts.adapters.openai.streams import Patience
from prompts.domain.tools import FunctionTool
from prompts.errors import InvalidPrompt, RateLimited, ServiceError, UpstreamError
from tests.contract.conftest import open_model
from tests.support.model_asker import Asker
from tests.support.raw_model import STREAM, RawModelServer, Reply, reply_json

PATIENCE = Patience(connect_s=10, first_token_s=20, silence_s=20)


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


@dataclass(frozen=True)
class Words:
    """How one protocol says the same: a word, a call with these arguments, the end, and all of it unstreamed."""

    hi: bytes
    call: str
    end: bytes
    whole: Any

    def call_with(self, arguments: str) -> bytes:
        return b"data: " + (self.call % json.dumps(arguments)).encode() + b"\n\n"


CHAT_CALL = '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":%s}}]}}]}'
RESPONSES_CALL = (
    '{"type":"response.output_item.done","output_index":0,'
    '"item":{"type":"function_call","call_id":"a","name":"f","arguments":%s}}'
)
WORDS = {
    "chat_completions": Words(
        hi=event({"choices": [{"delta": {"content": "hi"}}]}),
        call=CHAT_CALL,
        end=event({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
        whole={"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]},
    ),
    "responses": Words(
        hi=event({"type": "response.output_text.delta", "delta": "hi"}),
        call=RESPONSES_CALL,
        end=event({"type": "response.completed", "response": {"status": "completed"}}),
        whole={
            "object": "response",
            "status": "completed",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
        },
    ),
}


@pytest.fixture(scope="module")
def raw_model() -> Iterator[RawModelServer]:
    with RawModelServer() as server:
        yield server


@pytest.fixture(params=WORDS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def words(protocol: str) -> Words:
    return WORDS[protocol]


@pytest.fixture
async def asker(protocol: str, raw_model: RawModelServer) -> AsyncIterator[Asker]:
    """Each adapter in turn, in front of a server that plays a script."""
    async with open_model(protocol, raw_model.base_url, PATIENCE) as model:
        yield Asker(model)


async def test_it_works(asker: Asker, raw_model: RawModelServer, words: Words) -> None:
    raw_model.play(Reply([words.hi, words.end]))
    assert (await asker.ask("Hello")).text == "hi"


@pytest.mark.parametrize(
    "failure",
    [
        Reply([b"<html>Bad gateway</html>"], headers={"content-type": "text/html"}),
        Reply([]),
        Reply([b": prefill\n\n", "abort"]),
        reply_json({"error": {"message": "Bad gateway", "code": 502}}),
        Reply([event({"error": "boom"})]),
        reply_json({"error": {"message": "Overloaded"}}, 529),
    ],
    ids=["html", "empty", "broken", "502 with 200", "an error event", "529"],
)
async def test_what_fails_before_anything_was_given_is_asked_again(
    asker: Asker, raw_model: RawModelServer, words: Words, failure: Reply
) -> None:
    raw_model.play(failure, Reply([words.hi, words.end]))
    assert (await asker.ask("Hello")).text == "hi"
    assert len(raw_model.asked) == 2


async def test_an_answer_that_says_nothing_is_asked_for_again_and_then_a_failure(
    asker: Asker, raw_model: RawModelServer, words: Words
) -> None:
    raw_model.play(Reply([words.end]), Reply([words.hi, words.end]))
    assert (await asker.ask("Hello")).text == "hi"
    raw_model.play(Reply([words.end]))
    assert isinstance((await asker.try_to_ask("Hello")).error, UpstreamError)
    assert len(raw_model.asked) == 3


async def test_what_fails_later_is_not_asked_again(asker: Asker, raw_model: RawModelServer, words: Words) -> None:
    raw_model.play(Reply([words.hi + event({"error": {"message": "boom", "code": 502}})]))
    heard = await asker.try_to_ask("Hello")
    assert heard.text == "hi"
    assert isinstance(heard.error, UpstreamError)
    assert len(raw_model.asked) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429}, RateLimited),
        ({"code": 400, "type": "BadRequestError"}, InvalidPrompt),
        ({"code": 500}, UpstreamError),
    ],
)
async def test_an_error_with_status_200_keeps_its_code(
    asker: Asker, raw_model: RawModelServer, error: dict[str, Any], kind: type[ServiceError]
) -> None:
    raw_model.play(reply_json({"error": {"message": "no", **error}}))
    assert type((await asker.try_to_ask("Hello")).error) is kind


@pytest.mark.parametrize("indent", [None, 2])
async def test_an_answer_that_comes_whole_though_a_stream_was_asked_for(
    asker: Asker, raw_model: RawModelServer, words: Words, indent: int | None
) -> None:
    raw_model.play(
        Reply([json.dumps(words.whole, indent=indent).encode()], headers={"content-type": "application/json"})
    )
    assert (await asker.ask("Hello")).text == "hi"


@pytest.mark.parametrize(
    ("arguments", "told", "reason"),
    [("", "{}", "stop"), ("{}", "{}", "stop"), ('{"x": "ab', '{"x": "ab', "length"), ("{x: 1}", "{x: 1}", "length")],
)
async def test_a_call_that_was_cut_is_never_completed(
    asker: Asker, raw_model: RawModelServer, words: Words, *, arguments: str, told: str, reason: str
) -> None:
    raw_model.play(Reply([words.call_with(arguments) + words.end]))
    heard = await asker.ask("Hello", tools=[FunctionTool(name="f")])
    assert (heard.calls, heard.finished.reason) == ([("f", told)], reason)


async def test_nobody_is_sent_elsewhere(asker: Asker, raw_model: RawModelServer, words: Words) -> None:
    with RawModelServer() as stranger:
        stranger.play(Reply([words.hi, words.end]))
        raw_model.play(Reply([], 307, {"location": stranger.base_url}))
        assert isinstance((await asker.try_to_ask("Hello")).error, UpstreamError)
        assert stranger.asked == []


async def test_no_cookie_is_kept(protocol: str, raw_model: RawModelServer, words: Words) -> None:
    said = Reply([words.hi, words.end], headers={**STREAM, "set-cookie": "theirs=1; Path=/"})
    for host in ("127.0.0.1", "localhost"):  # the two libraries differ in which hosts may have cookies
        raw_model.play(said)
        async with open_model(protocol, raw_model.base_url.replace("127.0.0.1", host), PATIENCE) as model:
            assert [(await Asker(model).ask("Hello")).text for _ in range(2)] == ["hi", "hi"]
        assert ["cookie" in asked.headers for asked in raw_model.asked] == [False, False]


# A hundred megabytes of blank lines, and twelve of comments, in some kilobytes: a library would inflate them in one go.
# Zstandard (RFC 8878, 3.1.1): the frame's head, a window of 2 MB, and blocks of one byte that stands for 128 KB.
BOMBS = {
    "zstd": b"\x28\xb5\x2f\xfd\x00\x58" + ((128 * 1024 << 3 | 1 << 1).to_bytes(3, "little") + b"\n") * 800,
    "gzip, gzip": gzip.compress(gzip.compress(b": \n" * 4_000_000)),
    "br": b"\0" * 100,
}


@pytest.mark.parametrize("encoding", BOMBS)
@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_in_another_code_is_not_read(
    asker: Asker, raw_model: RawModelServer, encoding: str, status: int
) -> None:
    raw_model.play(Reply([BOMBS[encoding]], status, {**STREAM, "content-encoding": encoding}))
    tracemalloc.start()
    try:
        assert isinstance((await asker.try_to_ask("Hello")).error, UpstreamError)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()

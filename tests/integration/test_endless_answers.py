"""An answer that has no end, through the whole service: it ends where the operator says, and nobody else notices."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from typing_extensions import override

from tests.support.chat_chunks import DONE, END, chunk, delta, frame, logprob
from tests.support.raw_model import RawModelServer, Reply
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text, make_conversation, open_client, wait_until_known

GOOD = Reply([frame(chunk("hi")), END, DONE])
MAX_ANSWER_BYTES = 20_000
TOOLS = [{"type": "function", "name": "f", "parameters": {}}]


@pytest.fixture(scope="module")
def raw_model() -> Iterator[RawModelServer]:
    """One for the module; each test says what it plays."""
    with RawModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def replica(service: Service, raw_model: RawModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica in front of it that takes short answers, and gives the model up after two failures."""
    redis_url = service.environment["REDIS_URL"].removesuffix("/0") + "/4"
    limits = {"MAX_ANSWER_BYTES": str(MAX_ANSWER_BYTES), "MODEL_BREAKER_FAILURES": "2", "WORKERS": "1"}
    environment = {**service.environment, "REDIS_URL": redis_url, "OPENAI_BASE_URL": raw_model.base_url, **limits}
    with Replica(tmp_path_factory.mktemp("endless"), environment) as running:
        yield running


@pytest.fixture
async def client(http: httpx.AsyncClient, replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """Alice at that replica, after her key is published."""
    async with open_client(http, replica) as opened:
        await wait_until_known(opened)
        yield opened


class Endless(list[Any]):
    """Half a gigabyte of an answer; `is_left` once nobody reads it any more."""

    def __init__(self, part: bytes) -> None:
        super().__init__([part * (64 * 1024 // len(part) + 1)] * 8_000)
        self.is_left = False

    @override
    def __iter__(self) -> Iterator[Any]:
        try:
            yield from super().__iter__()
        except GeneratorExit:
            self.is_left = True
            raise


def write_call(number: int) -> bytes:
    function = {"name": "f", "arguments": "{}"}
    return delta(tool_calls=[{"index": number, "id": f"call_{number}", "function": function}])


ENDLESS: dict[str, tuple[list[bytes], bytes, dict[str, Any]]] = {
    "text": ([], delta(content="word " * 20), {}),
    "thoughts": ([], delta(reasoning="thought " * 20), {"reasoning": {"effort": "low"}}),
    "log probabilities": (
        [],
        frame(chunk("x", logprobs={"content": [logprob("x" * 100)]})),
        {"include": ["message.output_text.logprobs"], "top_logprobs": 1},
    ),
    "arguments": (
        [write_call(0)],
        delta(tool_calls=[{"index": 0, "function": {"arguments": " " * 99}}]),
        {"tools": TOOLS},
    ),
    "calls": ([*map(write_call, range(129))], b": \n", {"tools": TOOLS}),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_an_answer_without_end_fails_and_keeps_what_was_written(
    client: httpx.AsyncClient, raw_model: RawModelServer, kind: str
) -> None:
    beginning, rest, asked = ENDLESS[kind]
    conversation = await make_conversation(client)
    endless = Endless(rest)
    raw_model.play(Reply(BeginningOf(frame(chunk("hi")), *beginning, then=endless)))
    stream = Stream.of_turn(client, "Hello", conversation=conversation, **asked)
    final = await stream.read_final()
    assert (final["status"], final["error"]["code"]) == ("failed", "server_error")
    assert get_text(final).startswith("hi")
    assert (await client.get(f"/v1/responses/{final['id']}")).json() == final
    await eventually(lambda: endless.is_left)
    assert len(raw_model.asked) == 1
    raw_model.play(GOOD)
    after = await ask(client, "And now?", conversation=conversation)
    assert get_text(after.json()) == "hi"
    assert not any("Hello" in str(message) for message in raw_model.bodies[-1]["messages"]), "the head has not moved"


class BeginningOf(list[Any]):
    """Some steps, and then those of an endless answer."""

    def __init__(self, *steps: bytes, then: Endless) -> None:
        super().__init__(steps)
        self._then = then

    @override
    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        yield from self._then


async def test_whole_it_has_a_code_of_its_own_and_is_not_tried_again(
    client: httpx.AsyncClient, raw_model: RawModelServer
) -> None:
    raw_model.play(Reply(Endless(delta(content="word " * 20))))
    answer = await ask(client, "Hello")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "answer_too_large")
    assert f"{MAX_ANSWER_BYTES:,} bytes" in answer.json()["error"]["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert len(raw_model.asked) == 1


async def test_an_answer_just_below_the_bound_is_whole(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    raw_model.play(Reply([frame(chunk("x" * MAX_ANSWER_BYTES)), END, DONE]))
    assert get_text((await ask(client, "Hello")).json()) == "x" * MAX_ANSWER_BYTES

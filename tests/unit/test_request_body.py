"""Bodies are read within their size, their pace, and the memory that all of them may take."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from config.request_body import BodyRoom, BoundedBodies, ClientLeft, RequestBody
from prompts.errors import BodyTooLarge, BodyTooSlow, Overloaded

MAX_S = 10.0
LEFT = {"type": "http.disconnect"}


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Sender:
    """A client that sends these, and then nothing."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.left = list(messages)
        self.is_asked = False

    async def receive(self) -> Any:
        self.is_asked = True
        if not self.left:
            await asyncio.Event().wait()
        return self.left.pop(0)


def make(
    sender: Sender, *, length: int | None = None, room: BodyRoom | None = None, grace_s: float = 60
) -> RequestBody:
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope: Any = {"type": "http", "headers": headers}
    return RequestBody(scope, sender.receive, max_bytes=100, room=room or BodyRoom(1_000), grace_s=grace_s)


async def test_a_body_comes_in_parts() -> None:
    body = make(Sender(part(b"a" * 60), part(b"b" * 40, more=False), LEFT))
    assert await body.read() == b"a" * 60 + b"b" * 40
    async with asyncio.timeout(MAX_S):
        await body.wait_until_left()


@pytest.mark.parametrize("length", [101, 10**17, "9" * 5_000])
async def test_one_that_says_it_is_too_large_is_not_asked_for(length: int) -> None:
    sender = Sender(part(b"x"))
    with pytest.raises(BodyTooLarge):
        await make(sender, length=length).read()
    assert not sender.is_asked


async def test_one_that_turns_out_too_large_is_refused_on_the_way() -> None:
    sender = Sender(part(b"x" * 60), part(b"x" * 60), part(b"x"))
    with pytest.raises(BodyTooLarge):
        await make(sender).read()
    assert sender.left == [part(b"x")]


@pytest.mark.parametrize("sent", [[], [part(b"x")], [part(b"x"), part(b"")]])
async def test_one_that_hardly_comes_is_refused(sent: Sequence[dict[str, Any]]) -> None:
    with pytest.raises(BodyTooSlow):
        await make(Sender(*sent), grace_s=0.01).read()


async def test_a_client_that_leaves_in_the_middle_is_noticed() -> None:
    body = make(Sender(part(b"x"), LEFT))
    with pytest.raises(ClientLeft):
        await body.read()
    async with asyncio.timeout(MAX_S):
        await body.wait_until_left()


async def test_all_bodies_together_have_their_room() -> None:
    """What is announced is taken before it is read, the rest as it comes; it is given back in the end."""
    room = BodyRoom(150)
    one = make(Sender(part(b"x", more=False)), length=100, room=room)
    await one.read()
    refused = Sender(part(b"x"))
    with pytest.raises(Overloaded):
        await make(refused, length=51, room=room).read()
    assert not refused.is_asked
    growing = make(Sender(part(b"x" * 30), part(b"x" * 30)), room=room)
    with pytest.raises(Overloaded):
        await growing.read()
    growing.close()
    one.close()
    one.close()
    assert await make(Sender(part(b"x" * 100, more=False)), room=room).read() == b"x" * 100


async def test_an_application_is_called_with_the_whole_body() -> None:
    seen: list[Any] = []

    async def application(_scope: Any, receive: Any, _send: Any) -> None:
        seen.extend([await receive(), await receive()])

    sender = Sender(part(b"a"), part(b"b", more=False), LEFT)
    bounded = BoundedBodies(application, max_bytes=2, room=BodyRoom(2))
    await bounded({"type": "http", "headers": []}, sender.receive, None)  # type: ignore[arg-type]  # no more is looked at
    assert seen == [part(b"ab", more=False), LEFT]


async def test_an_application_is_not_called_with_one_that_is_too_large() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    bounded = BoundedBodies(None, max_bytes=2, room=BodyRoom(9))  # type: ignore[arg-type]  # it would fail
    scope: Any = {"type": "http", "headers": [(b"content-length", b"3")]}
    await bounded(scope, Sender().receive, send)
    assert sent[0]["status"] == 413


async def test_a_body_that_is_streamed_takes_no_room() -> None:
    body = make(Sender(part(b"a" * 60), part(b"b" * 60, more=False), LEFT), room=BodyRoom(1))
    assert [piece async for piece in body.stream(max_bytes=120)] == [b"a" * 60, b"b" * 60]
    async with asyncio.timeout(MAX_S):
        await body.wait_until_left()


async def test_a_streamed_body_has_its_bound_and_its_pace() -> None:
    sender = Sender(part(b"x"))
    with pytest.raises(BodyTooLarge):
        await anext(make(sender, length=121).stream(max_bytes=120))
    assert not sender.is_asked
    with pytest.raises(BodyTooLarge):
        [_ async for _ in make(Sender(part(b"a" * 60), part(b"b" * 61))).stream(max_bytes=120)]
    with pytest.raises(BodyTooSlow):
        [_ async for _ in make(Sender(part(b"a")), grace_s=0.01).stream(max_bytes=120)]
    with pytest.raises(ClientLeft):
        [_ async for _ in make(Sender(part(b"a"), LEFT)).stream(max_bytes=120)]

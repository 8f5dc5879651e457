"""Turns over plain HTTP, and checks of what they leave behind."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.oracle import KEEPALIVE, check_error, check_events, read_frames
from tests.support.servers import Replica, eventually

# Words of the stand-in, of addresses and of logs that must never reach a client.
FOREIGN = ("The stand-in was told", "127.0.0.1", "localhost", "the key of the model's server", "Traceback")


async def make_conversation(http: httpx.AsyncClient) -> str:
    """A new conversation of Alice's, without items."""
    answer = await http.post("/v1/conversations", json={})
    conversation_id: str = answer.json()["id"]
    return conversation_id


async def ask(http: httpx.AsyncClient, text: str, /, **body: Any) -> httpx.Response:
    """One turn. Its answer must contain none of `FOREIGN`."""
    answer = await http.post("/v1/responses", json={"input": text, **body})
    assert not [word for word in FOREIGN if word in answer.text], answer.text
    if answer.status_code >= 400:
        check_error(answer.json())
    return answer


@asynccontextmanager
async def open_client(like: httpx.AsyncClient, replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """The same client at another replica. Every answer is checked against the specification."""
    async with httpx.AsyncClient(
        base_url=replica.url, headers=like.headers, event_hooks=like.event_hooks, timeout=30
    ) as client:
        yield client


async def wait_until_known(client: httpx.AsyncClient) -> None:
    """Until the replica's Redis knows the client's key: it is published soon after the start."""

    async def is_known() -> bool:
        return (await client.get("/v1/conversations")).status_code == 200

    await eventually(is_known)


class Stream:
    """Reads one event stream in the background, as a client does, and keeps its bytes."""

    def __init__(self, client: httpx.AsyncClient, method: str, url: str, **arguments: Any) -> None:
        self._raw = bytearray()
        self.headers = httpx.Headers()
        self.broke_off = False
        self._grown = asyncio.Event()
        self._task = asyncio.create_task(self._read(client, method, url, arguments))

    @classmethod
    def of_turn(
        cls, client: httpx.AsyncClient, text: str, /, headers: dict[str, str] | None = None, **body: Any
    ) -> "Stream":
        """The stream of a new turn."""
        return cls(client, "POST", "/v1/responses", json={"input": text, "stream": True, **body}, headers=headers)

    @classmethod
    def of_response(cls, client: httpx.AsyncClient, response_id: str, after: int | None = None) -> "Stream":
        """The stream of an existing response, with the events above `after`."""
        query = {"stream": "true"} if after is None else {"stream": "true", "starting_after": str(after)}
        return cls(client, "GET", f"/v1/responses/{response_id}", params=query)

    @property
    def raw(self) -> bytes:
        """The bytes so far."""
        return bytes(self._raw)

    async def see(self, words: str, *, times: int = 1, within_s: float = 20) -> None:
        """Wait until the stream contains these words, `times` times."""
        async with asyncio.timeout(within_s):
            while self.raw.count(words.encode()) < times:
                assert not self._task.done(), f"it ended without {words!r}: {self.raw[-500:]!r}"
                self._grown.clear()
                await self._grown.wait()

    async def see_words(self, count: int = 1, *, within_s: float = 20) -> None:
        """Wait for the first `count` words of the model."""
        await self.see("event: response.output_text.delta", times=count, within_s=within_s)

    async def get_id(self) -> str:
        """The response's id. Waits for the first event."""
        await self.see("\n\n")
        found = re.search(rb'"id":"(resp_[0-9a-f]+)"', self.raw)
        assert found is not None
        return found[1].decode()

    async def read(self, *, within_s: float = 30) -> bytes:
        """All bytes. The stream must end cleanly."""
        async with asyncio.timeout(within_s):
            await asyncio.shield(self._task)
        assert not self.broke_off, self.raw[-500:]
        return self.raw

    async def read_final(self, *, within_s: float = 30) -> dict[str, Any]:
        """The final response. The stream must be whole and is checked."""
        return check_events(read_frames(await self.read(within_s=within_s)))

    async def read_broken(self, *, within_s: float = 30) -> bytes:
        """All bytes. The connection must have been cut without a clean end."""
        async with asyncio.timeout(within_s):
            await asyncio.shield(self._task)
        assert self.broke_off, self.raw[-500:]
        return self.raw

    async def leave(self) -> None:
        """Close the connection in the middle."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, client: httpx.AsyncClient, method: str, url: str, arguments: dict[str, Any]) -> None:
        try:
            async with client.stream(method, url, **arguments) as answer:
                self.headers = answer.headers
                if answer.status_code != 200:
                    raise AssertionError(f"{answer.status_code}: {(await answer.aread()).decode()}")
                async for data in answer.aiter_raw():
                    self._raw += data
                    self._grown.set()
        except (httpx.RemoteProtocolError, httpx.ReadError):
            self.broke_off = True
        finally:
            self._grown.set()


def without_comments(raw: bytes) -> bytes:
    """The stream without what only keeps proxies and clients awake."""
    return raw.replace(b": keep-alive\n\n", b"").replace(KEEPALIVE + b"\n\n", b"")


def split_frames(raw: bytes) -> list[bytes]:
    """The frames of a stream; joined again they are its bytes."""
    return [frame + b"\n\n" for frame in without_comments(raw).split(b"\n\n")[:-1]]


async def check_stored(http: httpx.AsyncClient, streamed: httpx.Response) -> dict[str, Any]:
    """The response in the terminal event. GET must return the same bytes."""
    assert streamed.status_code == 200
    assert b"event: error" not in streamed.content
    final = check_events(read_frames(streamed.content))
    stored = await http.get(f"/v1/responses/{final['id']}")
    assert stored.content in streamed.content
    return final


async def check_free_and_unmoved(http: httpx.AsyncClient, conversation_id: str) -> None:
    """Check that a failed turn changed nothing in its conversation, and that the next turn runs."""
    conversation = (await http.get(f"/v1/conversations/{conversation_id}")).json()
    assert conversation["eps:active_response_id"] is None
    assert (await http.get(f"/v1/conversations/{conversation_id}/items")).json()["data"] == []
    assert (await ask(http, "Hello", conversation=conversation_id)).status_code == 200


def get_text(response: dict[str, Any]) -> str:
    """The text of a response's only message; empty without one."""
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part["text"] for item in messages for part in item["content"])

"""WebSockets to a replica: frames as they come, and whole turns, checked as those over HTTP are."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.oracle import check_error, check_events

# Generous: the machine may be busy.
WITHIN_S = 30.0
TERMINAL = ("response.completed", "response.incomplete", "response.failed")

Frame = dict[str, Any]


def websocket_url(url: str, path: str = "/v1/responses") -> str:
    """The address of a replica's WebSocket."""
    return f"{url.replace('http', 'ws', 1)}{path}"


class Talk:
    """One open WebSocket. Keep-alive frames are left out of what is read."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.raw: list[bytes] = []
        """The frames that were read, but for signs of life."""
        self.keepalives: list[Frame] = []

    async def send(self, frame: Any) -> None:
        """One frame: a dictionary as JSON, anything else as it is."""
        await self.connection.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def create(self, text: Any = "Hello", /, **body: Any) -> None:
        """Begin a turn."""
        await self.send({"type": "response.create", "input": text, **body})

    async def read(self, *, within_s: float = WITHIN_S) -> Frame:
        """The next frame."""
        async with asyncio.timeout(within_s):
            while True:
                message = await self.connection.recv(decode=False)
                frame: Frame = json.loads(message)
                if frame["type"] != "keepalive":
                    self.raw.append(bytes(message))
                    return frame
                self.keepalives.append(frame)

    async def see(self, kind: str, *, within_s: float = WITHIN_S) -> Frame:
        """The next frame of a type; those before it are left out."""
        while True:
            frame = await self.read(within_s=within_s)
            if frame["type"] == kind:
                return frame
            assert frame["type"] not in (*TERMINAL, "error"), frame

    async def read_events(self) -> list[Frame]:
        """The events of a turn up to its end, or to an error."""
        events = [await self.read()]
        while events[-1]["type"] not in (*TERMINAL, "error"):
            events.append(await self.read())
        return events

    async def read_final(self) -> dict[str, Any]:
        """The response of a turn whose events are whole; they are checked."""
        events = await self.read_events()
        assert events[-1]["type"] != "error", events[-1]
        return check_events([{**event} for event in events])

    async def ask(self, text: Any = "Hello", /, **body: Any) -> dict[str, Any]:
        """One turn; its events are checked."""
        await self.create(text, **body)
        return await self.read_final()

    async def be_refused(self, *, status: int, code: str, param: str | None = None) -> Frame:
        """The next frame, which must be an error."""
        frame = await self.read()
        check_refused(frame, status=status, code=code, param=param)
        return frame

    async def read_close(self, *, within_s: float = WITHIN_S) -> int:
        """The code with which the server closes; whatever it sends before is left out."""
        async with asyncio.timeout(within_s):
            try:
                while True:
                    self.raw.append(bytes(await self.connection.recv(decode=False)))
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd is not None else 1006


def check_refused(frame: Frame, *, status: int, code: str, param: str | None = None) -> None:
    """Check the frame of an error, and that it names `param`."""
    assert frame["type"] == "error", frame
    assert (frame["status"], frame["error"]["code"]) == (status, code), frame
    assert param is None or frame["error"]["param"] == param, frame
    check_error({"error": frame["error"]})


@asynccontextmanager
async def open_talk(url: str, key: str | None, **headers: str) -> AsyncIterator[Talk]:
    """A WebSocket to the replica at `url`, with this key."""
    async with open_connection(url, key, headers) as connection:
        yield Talk(connection)


def open_connection(url: str, key: str | None, headers: Mapping[str, str] = {}, **options: Any) -> connect:
    """The connection itself, which may be opened and closed by hand."""
    own = {} if key is None else {"Authorization": f"Bearer {key}"}
    options = {"max_size": None, "proxy": None, "open_timeout": WITHIN_S, "user_agent_header": None, **options}
    return connect(websocket_url(url), additional_headers={**own, **headers}, **options)


async def open_refused(url: str, key: str | None, **headers: str) -> tuple[int, str]:
    """The status and the code with which a connection is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with open_connection(url, key, headers):
            pass
    response = refused.value.response
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"]
    return response.status_code, json.loads(response.body or b"{}")["error"]["code"]


async def upgrade(client: httpx.AsyncClient, path: str = "/v1/responses", **headers: str) -> httpx.Response:
    """The answer to an upgrade that is to be refused."""
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    return await client.get(path, headers=handshake | headers)

"""The requests that the stand-in received: the only proof that the model got a parameter."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.support.servers import StandinServer

# The fixture `set_model`: sets default directives of the stand-in by name.
SetModel = Callable[..., Awaitable[None]]


async def wait_until_left(standin: StandinServer, within_s: float = 100) -> None:
    """Until no connection to the model is open: an earlier test may have left an answer behind."""
    async with open_control(standin) as control:
        params = {"until": "0", "within_s": str(within_s)}
        await control.get("/_control/active", params=params, timeout=within_s + 5)


class ModelCalls:
    """The requests to the stand-in since this object was made."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def forget(self) -> None:
        """Count from now on."""
        await self._client.delete("/_control/calls")

    async def list_bodies(self) -> list[dict[str, Any]]:
        """The bodies of all requests, oldest first."""
        return [call["body"] for call in await self._list()]

    async def get_body(self, words: str) -> dict[str, Any]:
        """The body of the newest request with these words in a message."""
        body: dict[str, Any] = (await self._get(words))["body"]
        return body

    async def get_traceparent(self, words: str) -> str | None:
        """The header of that name of that request."""
        traceparent: str | None = (await self._get(words))["traceparent"]
        return traceparent

    async def get_messages(self, words: str) -> list[dict[str, Any]]:
        """The messages of that request."""
        messages: list[dict[str, Any]] = (await self.get_body(words))["messages"]
        return messages

    async def _list(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = (await self._client.get("/_control/calls")).json()
        return calls

    async def _get(self, words: str) -> dict[str, Any]:
        calls = [
            call for call in await self._list() if words in str(call["body"].get("messages", call["body"].get("input")))
        ]
        assert calls, f"the model was never asked with {words!r}"
        return calls[-1]


def open_control(standin: StandinServer) -> httpx.AsyncClient:
    """A client for the stand-in's control endpoints."""
    return httpx.AsyncClient(base_url=standin.url, timeout=10)

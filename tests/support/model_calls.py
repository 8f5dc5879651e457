"""The requests that the stand-in received: the only proof that the model got a parameter."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.support.servers import StandinServer

# The fixture `set_model`: sets default directives of the stand-in by name.
SetModel = Callable[..., Awaitable[None]]


class ModelCalls:
    """The requests to the stand-in since this object was made."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def forget(self) -> None:
        """Count from now on."""
        await self._client.delete("/_control/calls")

    async def list_bodies(self) -> list[dict[str, Any]]:
        """The bodies of all requests, oldest first."""
        return [call["body"] for call in (await self._client.get("/_control/calls")).json()]

    async def get_body(self, words: str) -> dict[str, Any]:
        """The body of the newest request with these words in a message."""
        bodies = [body for body in await self.list_bodies() if words in str(body.get("messages", body.get("input")))]
        assert bodies, f"the model was never asked with {words!r}"
        return bodies[-1]

    async def get_messages(self, words: str) -> list[dict[str, Any]]:
        """The messages of that request."""
        messages: list[dict[str, Any]] = (await self.get_body(words))["messages"]
        return messages


def open_control(standin: StandinServer) -> httpx.AsyncClient:
    """A client for the stand-in's control endpoints."""
    return httpx.AsyncClient(base_url=standin.url, timeout=10)

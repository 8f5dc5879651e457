"""What reached the model, as the stand-in noted it: the only proof that a parameter was honoured."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.support.servers import StandinServer

# What the fixture `set_model` gives: the stand-in's default directives, by name.
SetModel = Callable[..., Awaitable[None]]


class ModelCalls:
    """The requests that the stand-in was sent since this was made."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def forget(self) -> None:
        """Begin anew."""
        await self._client.delete("/_control/calls")

    async def list_bodies(self) -> list[dict[str, Any]]:
        """Every request's body, oldest first."""
        return [call["body"] for call in (await self._client.get("/_control/calls")).json()]

    async def get_body(self, words: str) -> dict[str, Any]:
        """The newest request with these words in one of its messages."""
        bodies = [body for body in await self.list_bodies() if words in str(body.get("messages", body.get("input")))]
        assert bodies, f"the model was never asked with {words!r}"
        return bodies[-1]

    async def get_messages(self, words: str) -> list[dict[str, Any]]:
        """The messages of that request."""
        messages: list[dict[str, Any]] = (await self.get_body(words))["messages"]
        return messages


def open_control(standin: StandinServer) -> httpx.AsyncClient:
    """A client of what a tester can look at and set."""
    return httpx.AsyncClient(base_url=standin.url, timeout=10)

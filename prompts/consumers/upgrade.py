"""Who may open a WebSocket: what is looked at before it is accepted. A refusal is plain HTTP, with the envelope."""

from collections.abc import Iterable, Mapping

from prompts.errors import WebSocketsOff, unknown_url
from prompts.ports.api_keys import ApiKeys, Caller
from prompts.ports.origins import Origins
from prompts.usecases.callers import authenticate, check_rate
from prompts.usecases.origins import check_origin
from prompts.usecases.scopes import check_scope

PATH = "/v1/responses"


class Headers:
    """The headers of an upgrade, by their lower-case names; of several of one name the first."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in headers:
            self._values.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def find(self, name: str) -> str | None:
        """The value, if there is one."""
        return self._values.get(name)

    def as_dict(self) -> dict[str, str]:
        """All of them."""
        return dict(self._values)


async def check_upgrade(path: str, headers: Headers, *, is_on: bool, api_keys: ApiKeys, origins: Origins) -> Caller:
    """Whose connection it will be; the upgrade counts as a request.

    Raises NotFound (the path), WebSocketsOff, and as `admit_caller`.
    """
    if path != PATH:
        raise unknown_url("GET", path)
    caller = await admit_caller(headers.as_dict(), api_keys=api_keys, origins=origins)
    if not is_on:
        # Codex goes on over HTTP after this status only: https://github.com/openai/codex/issues/43353.
        raise WebSocketsOff("This server speaks no WebSocket. Send the request over HTTP, with 'stream': true.")
    check_rate(caller)
    return caller


async def admit_caller(headers: Mapping[str, str], *, api_keys: ApiKeys, origins: Origins) -> Caller:
    """Whose key or client secret it is, which has to be for turns; a browser's page has to be allowed.

    Raises InvalidApiKey, ClientSecretExpired, InsufficientScope, OriginNotAllowed, Unavailable.
    """
    caller = await authenticate(headers.get("authorization"), api_keys=api_keys)
    host = headers.get("host", "")
    await check_origin(headers.get("origin"), host=host, owner=caller.owner, origins=origins)
    check_scope(caller, "write")
    return caller


def always_streams(headers: Headers) -> bool:
    """Whether the client is one that says `stream: true` in every turn and cannot be told otherwise.

    Codex names the protocol by a header of its own; OpenAI's Agents SDK connects with the headers of OpenAI's SDK. Of
    all others it is a mistake (docs/api.md, "WebSocket").
    """
    return "responses_websockets" in (headers.find("openai-beta") or "") or headers.find("x-stainless-lang") is not None

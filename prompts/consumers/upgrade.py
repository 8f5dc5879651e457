"""Who may open a WebSocket: what is looked at before it is accepted. A refusal is plain HTTP, with the envelope."""

import re
import uuid
from collections.abc import Iterable
from urllib.parse import urlsplit

from prompts.errors import OriginNotAllowed, WebSocketsOff, unknown_url
from prompts.ports.api_keys import ApiKeys, Caller
from prompts.usecases.callers import authenticate, check_rate

PATH = "/v1/responses"
# A client's id that may be used, as over HTTP (config/middleware.py).
SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
DEFAULT_PORTS = (":80", ":443")


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


async def check_upgrade(path: str, headers: Headers, *, is_on: bool, api_keys: ApiKeys) -> Caller:
    """Whose connection it will be; the upgrade counts as a request.

    Raises NotFound (the path), OriginNotAllowed, InvalidApiKey, WebSocketsOff, RateLimited, Unavailable.
    """
    if path != PATH:
        raise unknown_url("GET", path)
    check_origin(headers.find("origin"), host=headers.find("host"))
    caller = await authenticate(headers.find("authorization"), api_keys=api_keys)
    if not is_on:
        # Codex goes on over HTTP after this status only: https://github.com/openai/codex/issues/43353.
        raise WebSocketsOff("This server speaks no WebSocket. Send the request over HTTP, with 'stream': true.")
    check_rate(caller)
    return caller


def check_origin(origin: str | None, *, host: str | None) -> None:
    """Only browsers say an origin: they may come from a page of this very host. Raises OriginNotAllowed.

    The scheme is not compared: before the service TLS may end.
    """
    if origin is None:
        return
    try:
        place = urlsplit(origin).netloc
    except ValueError:
        place = ""
    if not place or _without_port(place) != _without_port(host or ""):
        message = "A page of this origin may not connect. Connect from a page of the service's own host."
        raise OriginNotAllowed(message)


def _without_port(host: str) -> str:
    host = host.lower()
    return next((host.removesuffix(port) for port in DEFAULT_PORTS if host.endswith(port)), host)


def choose_request_id(headers: Headers) -> str:
    """The client's own id of the upgrade when it is sane, else a new one."""
    given = headers.find("x-request-id") or ""
    return given if SANE_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"


def always_streams(headers: Headers) -> bool:
    """Whether the client is one that says `stream: true` in every turn and cannot be told otherwise.

    Codex names the protocol by a header of its own; OpenAI's Agents SDK connects with the headers of OpenAI's SDK. Of
    all others it is a mistake (docs/api.md, "WebSocket").
    """
    return "responses_websockets" in (headers.find("openai-beta") or "") or headers.find("x-stainless-lang") is not None

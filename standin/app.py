"""The stand-in as an ASGI application: `uvicorn standin.app:app`.

Run it with `--timeout-graceful-shutdown 1`: a stream that was told to stay silent would block the shutdown.
"""

import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from standin.client import Client, Receive, Scope, Send
from standin.control.call_log import LoggedCall, Outcome
from standin.control.endpoints import answer_control
from standin.control.state import State
from standin.endpoints import answer_chat, answer_embeddings, answer_models, answer_responses
from standin.errors import AbortConnection, ClientGone, StandInError

_ENDPOINTS: dict[str, Callable[[Client, State, LoggedCall], Awaitable[Outcome]]] = {
    "/v1/chat/completions": answer_chat,
    "/v1/responses": answer_responses,
    "/v1/embeddings": answer_embeddings,
}


class StandIn:
    """The application. Each instance has its own log of calls and its own defaults."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._state = State(environ)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection: a request, or the lifespan."""
        if scope["type"] == "lifespan":
            await _run_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(Client(scope, receive, send))

    async def _serve(self, client: Client) -> None:
        try:
            await self._route(client)
        except StandInError as error:
            await client.reply_error(error)
        except AbortConnection:
            await client.abort()
        except ClientGone:
            pass  # nobody to answer; the log of calls says so
        finally:
            client.close()

    async def _route(self, client: Client) -> None:
        if client.path == "/healthz":
            await client.reply_json(200, b'{"status":"ok"}')
        elif client.path.startswith("/_control/"):
            await answer_control(client, self._state)
        elif client.path in _ENDPOINTS:
            await self._answer_call(client)
        elif client.path.startswith("/v1/models") and client.method == "GET":
            self._require_key(client)
            await answer_models(client, unquote(client.path.removeprefix("/v1/models")).removeprefix("/") or None)
        else:
            raise StandInError(404, f"There is no {client.method} {client.path}.")

    async def _answer_call(self, client: Client) -> None:
        """Answer a call to the model, and log it."""
        if client.method != "POST":
            raise StandInError(405, f"{client.path} takes POST only.")
        body = await client.read_body()
        traceparent = client.headers.get(b"traceparent")
        call = self._state.calls.begin(
            client.path,
            body,
            authorization_sha256=_hash(client.headers.get(b"authorization")),
            traceparent=None if traceparent is None else traceparent.decode("latin-1"),
        )
        outcome: Outcome = "failed"
        try:
            self._require_key(client)
            outcome = await _ENDPOINTS[client.path](client, self._state, call)
        except ClientGone:
            outcome = "disconnected"
            raise
        finally:
            self._state.calls.end(call, outcome)

    def _require_key(self, client: Client) -> None:
        key = self._state.api_key
        if key and client.headers.get(b"authorization") != f"Bearer {key}".encode():
            raise StandInError(401, "The API key is not the one this stand-in was given.")


def _hash(header: bytes | None) -> str | None:
    return None if header is None else hashlib.sha256(header).hexdigest()


async def _run_lifespan(receive: Receive, send: Send) -> None:
    """The lifespan protocol: there is nothing to open or close."""
    while True:
        phase = (await receive())["type"]
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return


app = StandIn(os.environ)

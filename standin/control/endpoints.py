"""The tester's endpoints under `/_control/`; they need no key."""

import asyncio
import json
from contextlib import suppress
from urllib.parse import parse_qs

import orjson

from standin.client import Client
from standin.control.state import State
from standin.errors import StandInError
from standin.json_body import decode_body

_MAX_WAIT_S = 60.0  # longer than a test waits, shorter than its time limit


async def answer_control(client: Client, state: State) -> None:
    match client.method, client.path:
        case "GET", "/_control/calls":
            # Bodies hold whatever a test sends: numbers and depths that orjson does not write.
            calls = json.dumps(state.calls.list_since(_get_number(client, "since", 0)))
            await client.reply_json(200, calls.encode())
        case "DELETE", "/_control/calls":
            state.calls.forget()
            await client.reply_json(200, b"{}")
        case "GET", "/_control/active":
            await _answer_active(client, state)
        case "GET" | "POST" | "DELETE" as method, "/_control/defaults":
            await _change_defaults(client, state, method)
            await client.reply_json(200, orjson.dumps(state.defaults))
        case _:
            raise StandInError(404, f"There is no {client.method} {client.path}.")


async def _answer_active(client: Client, state: State) -> None:
    """The number of active calls. With `?until=N&within_s=S` it first waits for N, so that tests need not poll."""
    until = _get_number(client, "until", -1)
    if until >= 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(_get_number(client, "within_s", 5), _MAX_WAIT_S)):
                await state.calls.wait_for_active(until)
    await client.reply_json(200, orjson.dumps({"active": state.calls.active}))


async def _change_defaults(client: Client, state: State, method: str) -> None:
    if method == "DELETE":
        state.reset()
    elif method == "POST":
        state.set_defaults(decode_body(await client.read_body(), dict[str, str | float | bool]))


def _get_number(client: Client, name: str, default: int) -> int:
    given = parse_qs(client.query.decode("latin-1")).get(name, [str(default)])[0]
    try:
        return int(given)
    except ValueError as exc:
        raise StandInError(400, f"{name} must be a whole number.", param=name) from exc

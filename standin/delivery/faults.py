"""Decides whether an answer fails, and makes it fail."""

from typing import Literal, assert_never, get_args

import msgspec

from standin.client import Client
from standin.control.directives import Directives
from standin.control.state import State
from standin.delivery.writer import Writer
from standin.errors import AbortConnection, StandInError

GARBAGE = b"\x00\xfe\xff{]]] this is neither JSON nor an event stream\r\n"

Kind = Literal["cut", "end", "silence", "garbage", "error", "failed"]
_KINDS: tuple[Kind, ...] = get_args(Kind)


class Fault(msgspec.Struct, frozen=True):
    """How an answer breaks, after how many tokens, and the error's code (None: the usual one)."""

    kind: Kind
    after: int
    code: str | None = None

    @property
    def error(self) -> StandInError:
        """The error for the client, where it gets one."""
        return StandInError(500, "The stand-in was told to fail in the middle of its answer.", code=self.code)


def find_fault(directives: Directives, length: int) -> Fault | None:
    """The first fault within an answer of that many tokens, or None."""
    afters = [(getattr(directives, f"{kind}_after"), kind) for kind in _KINDS]
    faults = [Fault(kind, after, directives.code) for after, kind in afters if after is not None and after <= length]
    return min(faults, key=lambda fault: fault.after, default=None)


def apply_fail_count(directives: Directives, state: State, key: str) -> Directives:
    """The directives for this request: after its first `fail` requests, a key gets no more faults."""
    if directives.fail is None:
        return directives
    if state.take_failure(directives.key or key, directives.fail):
        breaks = any(getattr(directives, f"{kind}_after") is not None for kind in _KINDS)
        return directives if breaks or directives.status else msgspec.structs.replace(directives, status=500)
    cleared = {f"{kind}_after": None for kind in _KINDS}
    return msgspec.structs.replace(directives, status=None, **cleared)


def raise_requested_status(directives: Directives) -> None:
    """Raise the error status that was requested, if any."""
    if directives.status is not None:
        message = f"The stand-in was told to answer {directives.status}."
        raise StandInError(directives.status, message, code=directives.code, retry_after_s=directives.retry_after)


async def break_stream(fault: Fault, client: Client, writer: Writer) -> None:
    """Break a stream that has begun."""
    match fault.kind:
        case "cut":
            raise AbortConnection
        case "end":
            await client.write(b"", is_last=True)
        case "silence":
            await client.wait_until_gone()
        case "garbage":
            await client.write(GARBAGE, is_last=True)
        case "error":
            await client.write(writer.compose_error(fault.error), is_last=True)
        case "failed":
            await client.write(writer.compose_failure(fault.error), is_last=True)
        case _:
            assert_never(fault.kind)


async def break_whole(fault: Fault, client: Client, writer: Writer) -> None:
    """Break a whole answer in the way that is nearest to the broken stream."""
    match fault.kind:
        case "cut":
            await _send_half(client, writer.compose_whole())
            raise AbortConnection
        case "end":
            body = writer.compose_whole()
            await client.reply_json(200, body[: len(body) // 2])
        case "silence":
            await client.wait_until_gone()
        case "garbage":
            await client.reply_json(200, GARBAGE)
        case "error":
            raise fault.error
        case "failed":
            await client.reply_json(200, writer.compose_failed_whole(fault.error, fault.after))
        case _:
            assert_never(fault.kind)


async def _send_half(client: Client, body: bytes) -> None:
    """Send the headers of a whole body, and half of the body."""
    await client.start(200, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))])
    await client.write(body[: len(body) // 2])

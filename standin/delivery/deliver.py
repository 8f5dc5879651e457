"""Sends a reply with the requested pace, event size and faults.

Without pauses up to 16 events go out in one write, and other requests get their turn after each write: many streams at
once stay cheap and even. With `token_s` each event goes out by itself. `tokens_at_once` only sets how many tokens an
event has.
"""

from collections.abc import Iterable, Iterator

from standin.client import Client
from standin.control.call_log import LoggedCall, Outcome
from standin.control.directives import Directives
from standin.delivery.faults import break_stream, break_whole, find_fault
from standin.delivery.pieces import Reply, group_pieces
from standin.delivery.writer import Writer

_EVENTS_A_WRITE = 16
_STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]

Event = tuple[bytes, int]  # its bytes, and the number of tokens in it


async def deliver_stream(
    client: Client, reply: Reply, writer: Writer, directives: Directives, call: LoggedCall
) -> Outcome:
    """Stream the reply; count tokens on the call as they go out. Raises ClientGone."""
    fault = find_fault(directives, len(reply.pieces))
    await client.start(200, _STREAM_HEADERS)
    if greeting := writer.compose_greeting():
        await client.write(greeting)
    await client.pause(directives.first_token_s)
    limit = len(reply.pieces) if fault is None else fault.after
    events = _compose_events(reply, writer, directives.tokens_at_once, limit, is_whole=fault is None)
    for number, (data, tokens) in enumerate(_batch(events, 1 if directives.token_s else _EVENTS_A_WRITE)):
        if number:
            await client.pause(directives.token_s * tokens)
        await client.write(data)
        call.tokens_sent += tokens
    if fault is not None:
        await break_stream(fault, client, writer)
        return "failed"
    await client.write(b"", is_last=True)
    return "finished"


async def deliver_whole(
    client: Client, reply: Reply, writer: Writer, directives: Directives, call: LoggedCall
) -> Outcome:
    """Send the reply as one document, after the time its stream would take. Raises ClientGone."""
    length = len(reply.pieces)
    fault = find_fault(directives, length)
    delay_s = directives.first_token_s + directives.token_s * max(length - 1, 0)
    if delay_s:
        await client.pause(delay_s)
    if fault is not None:
        await break_whole(fault, client, writer)
        return "failed"
    await client.reply_json(200, writer.compose_whole())
    call.tokens_sent = length
    return "finished"


def _compose_events(reply: Reply, writer: Writer, size: int, limit: int, *, is_whole: bool) -> Iterator[Event]:
    if is_whole or limit:
        yield writer.compose_opening(), 0
    for group in group_pieces(reply.pieces[:limit], size):
        yield writer.compose_chunk(group), len(group)
    if is_whole:
        yield writer.compose_closing(), 0


def _batch(events: Iterable[Event], size: int) -> Iterator[Event]:
    """Join events so that a batch has at most `size` events with tokens; events without tokens are joined to them."""
    data: list[bytes] = []
    tokens = count = 0
    for event, brings in events:
        if brings and count == size:
            yield b"".join(data), tokens
            data, tokens, count = [], 0, 0
        data.append(event)
        tokens, count = tokens + brings, count + bool(brings)
    if data:
        yield b"".join(data), tokens

"""Padding of delta events, for whoever reads encrypted traffic along: its lengths would tell the words of an answer.

It is added where an event leaves, and follows from the response and the number: so every replica and every replay pads
the same, and the log holds none of it. https://developers.openai.com/api/docs/api-reference/responses/create
"""

import base64
import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from prompts.answer.events import Event

# OpenAI's deltas and their padding come to a multiple of this, as seen in its streams.
BLOCK_CHARACTERS = 16


class Delta(Struct):
    """What is padded of an event: the JSON of its `delta`."""

    delta: msgspec.Raw


decode_delta = msgspec.json.Decoder(Delta).decode


def obfuscate(events: Sequence[Event], response_id: str) -> list[Event]:
    """The events, with `obfuscation` in those that bring a delta."""
    return [_pad(event, response_id) if event.type.endswith(".delta") else event for event in events]


def _pad(event: Event, response_id: str) -> Event:
    length = len(decode_delta(event.data).delta)
    count = BLOCK_CHARACTERS - length % BLOCK_CHARACTERS
    digest = hashlib.sha256(f"{response_id} {event.sequence_number}".encode()).digest()
    padding = base64.urlsafe_b64encode(digest)[:count]
    data = b'%b,"obfuscation":"%b"}' % (event.data[:-1], padding)
    return Event(event.type, event.sequence_number, data)

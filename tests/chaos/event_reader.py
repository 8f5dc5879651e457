"""What one reader has seen of one response, over all its connections."""

import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from tests.support.oracle import KEEPALIVE

DONE = b"data: [DONE]"
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}


class Head(msgspec.Struct):
    """The fields that are checked in every event. The oracle checks the rest at the end."""

    type: str
    sequence_number: int
    delta: str = ""
    response: msgspec.Raw = msgspec.Raw(b"")


decode_head = msgspec.json.Decoder(Head).decode


class EventReader:
    """Takes frames as they come. A frame that does not follow the one before is a fault."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.response_id = ""
        self.final: dict[str, Any] | None = None
        self.is_done = False
        self.faults: list[str] = []
        # The longest time between two events.
        self.longest_pause_s = 0.0
        self._words: list[str] = []
        self._seen_at: float | None = None

    @property
    def last_number(self) -> int:
        """For `starting_after`; -1 before the first event."""
        return len(self.frames) - 1

    @property
    def is_over(self) -> bool:
        """Whether no more events will come."""
        return self.is_done or bool(self.faults)

    @property
    def text(self) -> str:
        """The text of all deltas."""
        return "".join(self._words)

    def take(self, frame: bytes) -> None:
        """Take one frame, without the empty line that ends it."""
        if frame.startswith(b":") or frame == KEEPALIVE:
            return
        if self.is_done:
            self.faults.append(f"{frame!r} came after [DONE]")
        elif frame == DONE:
            self._take_done()
        else:
            self._take_event(frame)

    def take_end(self) -> None:
        """The connection ended cleanly."""
        if not self.is_done:
            self.faults.append(f"a clean end after event {self.last_number}, without [DONE]")
            self.is_done = True

    def leave(self) -> None:
        """The reader leaves on purpose: its absence is no pause."""
        self._seen_at = None

    def _take_event(self, frame: bytes) -> None:
        self._measure_pause()
        head = decode_head(frame.partition(b"\ndata: ")[2])
        if head.sequence_number != len(self.frames):
            self.faults.append(f"event {head.sequence_number} came after {self.last_number}")
            self.is_done = True  # one fault is enough
            return
        self.frames.append(frame)
        self._words.append(head.delta)
        self._take_response(head)

    def _measure_pause(self) -> None:
        now = time.monotonic()
        if self._seen_at is not None:
            self.longest_pause_s = max(self.longest_pause_s, now - self._seen_at)
        self._seen_at = now

    def _take_response(self, head: Head) -> None:
        if self.final is not None:
            self.faults.append(f"{head.type} came after the terminal event")
        if head.type == "response.created":
            self.response_id = msgspec.json.decode(head.response)["id"]
        if head.type in TERMINAL:
            self.final = msgspec.json.decode(head.response)

    def _take_done(self) -> None:
        self.is_done = True
        if self.final is None:
            self.faults.append(f"[DONE] came after event {self.last_number}, without a terminal event")


async def split_frames(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The complete frames in a connection's bytes. A partial frame at the end is dropped."""
    rest = b""
    async for chunk in chunks:
        *frames, rest = (rest + chunk).split(b"\n\n")
        for frame in frames:
            yield frame

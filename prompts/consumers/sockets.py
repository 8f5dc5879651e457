"""All WebSockets of a process: how many there may be, and how they leave with it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prompts.errors import Draining, Overloaded, ServiceError, SocketTooOld, TooManySockets, TooManyWaiting
from prompts.ports.observer import Observer, SocketClosed, SocketEnd, SocketOpened
from prompts.usecases.remembered import HistoryLimits, MemoryRoom

# Codes of RFC 6455, 7.4.1, and of IANA's registry. OpenAI's client connects anew after the first and the third.
GOING_AWAY, POLICY_VIOLATION, SERVICE_RESTART = 1001, 1008, 1012


@dataclass(frozen=True, slots=True)
class SocketEnding:
    """Why a connection is closed before its client wishes it: what those are told who still wait, and the code."""

    reason: SocketEnd
    code: int
    error: ServiceError
    is_told: bool
    """Whether the client is told by a frame as well, where nobody waits."""


LEAVING = SocketEnding(
    "drain",
    SERVICE_RESTART,
    Draining("This replica is leaving. Connect anew, and send the turn again; another one will serve it."),
    is_told=False,
)


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What WebSockets may take."""

    is_on: bool
    max_sockets: int
    max_owner_sockets: int
    max_age_s: float
    memory: HistoryLimits
    """Of one history that is not stored."""
    max_owner_bytes: int
    """Of all messages of one owner whose turns have not ended."""


class Room(Protocol):
    """The memory for what clients send, of a whole process (config/request_body.py)."""

    def take(self, size: int) -> None:
        """Raises Overloaded where there is not so much."""

    def give_back(self, size: int) -> None:
        """Of what was taken."""


class OpenSocket(Protocol):
    """A connection, as its process sees it."""

    @property
    def owner(self) -> str:
        """Whose it is."""

    def end(self, ending: SocketEnding) -> None:
        """Close it when its running turns have ended; at once when none runs."""


class Sockets:
    """The WebSockets of this process."""

    def __init__(
        self,
        limits: SocketLimits,
        *,
        memory: MemoryRoom,
        bodies: Room,
        observer: Observer,
        count_turn: Callable[[], None] = lambda: None,
    ) -> None:
        """`count_turn` is told of each turn: a process is recycled after so many requests."""
        self.limits = limits
        self.memory = memory
        self._bodies = bodies
        self.observer = observer
        self.count_turn = count_turn
        self._open: set[OpenSocket] = set()
        self._owners: Counter[str] = Counter()
        self._held_bytes: Counter[str] = Counter()
        """Of the owners' messages."""
        self._left = asyncio.Event()
        self._is_draining = False

    @property
    def too_old(self) -> SocketEnding:
        """The end of a connection whose time is over."""
        minutes = self.limits.max_age_s / 60
        message = f"This WebSocket has been open for {minutes:g} minutes, the limit. Connect anew to go on."
        return SocketEnding("age", GOING_AWAY, SocketTooOld(message), is_told=True)

    def join(self, socket: OpenSocket) -> None:
        """One more. Raises Draining, Overloaded, TooManySockets."""
        if self._is_draining:
            raise Draining(LEAVING.error.message)
        if len(self._open) >= self.limits.max_sockets:
            raise Overloaded(f"This replica has {self.limits.max_sockets:,} WebSockets open already. Try again.")
        if self._owners[socket.owner] >= self.limits.max_owner_sockets:
            message = f"You have {self.limits.max_owner_sockets:,} WebSockets open here, the limit. Close one first."
            raise TooManySockets(message)
        self._open.add(socket)
        self._owners[socket.owner] += 1
        self.observer.notice(SocketOpened())

    def leave(self, socket: OpenSocket, reason: SocketEnd) -> None:
        """One that is closed."""
        self._open.remove(socket)
        self._owners[socket.owner] -= 1
        if not self._owners[socket.owner]:
            del self._owners[socket.owner]
        self.observer.notice(SocketClosed(reason))
        self._left.set()

    def hold(self, owner: str, size: int) -> None:
        """Room for a message until its turn has ended. Raises Overloaded, TooManyWaiting."""
        if self._held_bytes[owner] + size > self.limits.max_owner_bytes:
            message = "Your turns on WebSockets hold as much of this replica as they may. Send this when one has ended."
            raise TooManyWaiting(message)
        self._bodies.take(size)
        self._held_bytes[owner] += size

    def let_go(self, owner: str, size: int) -> None:
        """Of what is held."""
        self._bodies.give_back(size)
        self._held_bytes[owner] -= size
        if not self._held_bytes[owner]:
            del self._held_bytes[owner]

    def start_draining(self) -> None:
        """The process leaves: idle connections are closed, the others when their turns have ended."""
        self._is_draining = True
        for socket in list(self._open):
            socket.end(LEAVING)

    async def wait_until_left(self) -> None:
        """Returns when none is open."""
        while self._open:
            self._left.clear()
            await self._left.wait()

    def __len__(self) -> int:
        return len(self._open)

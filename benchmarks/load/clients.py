"""Clients that hold conversations through the balancer until they are stopped."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.load.connection import Answer, Connection, LoadError
from tests.support.service import ALICE_KEY

TURNS_A_CONVERSATION = 5
# The longest turn takes a few seconds; a client that hangs is a failure, not an endless run.
MAX_TURN_S = 60
CONVERSATION_ID = re.compile(r'"id": ?"(conv_\w+)"')


@dataclass
class Turns:
    """What clients have seen: each answer with the time of its end (`time.perf_counter`), and each failure."""

    answers: list[tuple[float, Answer]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def list_since(self, began: float) -> list[Answer]:
        """The answers that ended after this time."""
        return [answer for ended, answer in self.answers if ended >= began]


@asynccontextmanager
async def under_load(port: int, question: str, *, clients: int) -> AsyncIterator[Turns]:
    """Run this many clients; at the end each finishes its turn. Any answer but a whole one is a failure."""
    turns, stop = Turns(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(_hold_conversations(port, question, turns, stop.is_set))
        try:
            yield turns
        finally:
            stop.set()


async def _hold_conversations(port: int, question: str, turns: Turns, is_stopped: Callable[[], bool]) -> None:
    while not is_stopped():
        connection = await _connect(port)
        try:
            await _hold_conversation(connection, question, turns, is_stopped)
        except (LoadError, TimeoutError) as error:
            turns.failures.append(repr(error))
        finally:
            connection.close()


async def _hold_conversation(
    connection: Connection, question: str, turns: Turns, is_stopped: Callable[[], bool]
) -> None:
    """A few turns on one connection. Raises LoadError, TimeoutError."""
    conversation = await _ask(connection, "/v1/conversations", {}, is_streamed=False)
    found = CONVERSATION_ID.search(conversation.body)
    assert found is not None, conversation.body
    for _ in range(TURNS_A_CONVERSATION):
        if is_stopped():
            return
        body = {"input": question, "conversation": found[1], "stream": True}
        answer = await _ask(connection, "/v1/responses", body, is_streamed=True)
        turns.answers.append((time.perf_counter(), answer))


async def _connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


async def _ask(connection: Connection, path: str, body: dict[str, object], *, is_streamed: bool) -> Answer:
    encoded = json.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ALICE_KEY}\r\n"
    about = f"Content-Type: application/json\r\nContent-Length: {len(encoded)}\r\n"
    async with asyncio.timeout(MAX_TURN_S):
        exchange = await connection.ask(f"{head}{about}\r\n{encoded}".encode())
    return exchange.get_answer(is_streamed=is_streamed)

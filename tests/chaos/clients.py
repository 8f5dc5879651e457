"""Well-written clients: they honour Retry-After, resume where they stopped, and repeat their key.

A client knows one address, the balancer's. After a lost connection it asks again: before `response.created` with the
same POST and `Idempotency-Key`, afterwards with `starting_after`.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import httpx

from tests.chaos.answers import Answer, Dialogue
from tests.chaos.event_reader import EventReader, split_frames
from tests.chaos.results import LostConnection, Results

# Three lost runs at the default lease of 10 s, on a busy machine.
MAX_ANSWER_S = 120.0
# A connection is given up after this silence; the server sends a comment every 15 s.
SILENCE_S = 20.0
FIRST_WAIT_S = 0.1
MAX_WAIT_S = 1.0

Request = dict[str, Any]


class ReaderLeft(Exception):
    """The reader closes its connection on purpose, in the middle of the stream."""


class Refused(Exception):
    """A refusal that a retry does not help against."""


class Client:
    """One client. It records violations and lost connections in the results."""

    def __init__(self, http: httpx.AsyncClient, results: Results, *, silence_s: float = SILENCE_S) -> None:
        self._http = http
        self._results = results
        self._silence_s = silence_s

    async def request(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        """Send the request until the answer is not 503. Raises TimeoutError."""
        wait_s = FIRST_WAIT_S
        async with asyncio.timeout(MAX_ANSWER_S):
            while True:
                try:
                    answer = await self._http.request(method, url, **arguments)
                except httpx.TransportError as error:
                    self._results.lost_connections.append(LostConnection(f"{method} {url}", "", -1, repr(error)))
                    wait_s = await _wait(wait_s)
                else:
                    if answer.status_code != 503:
                        return answer
                    await self._wait_as_told(answer)

    async def start_conversation(self) -> Dialogue:
        return Dialogue(_get_id(await self.request("POST", "/v1/conversations", json={})))

    async def ask(
        self,
        question: str | Answer,
        dialogue: Dialogue | None = None,
        *,
        leave_after: int | None = None,
        first: httpx.AsyncClient | None = None,
        on_start: Callable[[Answer], object] = bool,
    ) -> Answer:
        """A streamed answer, read to its end. After `leave_after` events the reader leaves and comes back.

        `first` sends the first request to another address. `on_start` gets the answer before it is asked for. In place
        of a question it may be an answer that says itself what is asked.
        """
        answer = question if isinstance(question, Answer) else Answer(question, dialogue or Dialogue())
        on_start(answer)
        request = _turn(answer, stream=True)
        await self._read_with_limit(answer.reader, request, first or self._http, leave_after)
        self._record(answer)
        return answer

    async def ask_whole(self, question: str, dialogue: Dialogue) -> Answer:
        """An answer as one document."""
        answer = Answer(question, dialogue)
        told = await self.request(**_turn(answer), timeout=MAX_ANSWER_S)
        if told.status_code == 200:
            answer.final = told.json()
        else:
            answer.failure_code = told.json()["error"]["code"]
        self._record(answer)
        return answer

    async def ask_in_background(self, question: str, dialogue: Dialogue) -> Answer:
        """A background answer; its events are read with another request."""
        answer = Answer(question, dialogue)
        created = await self.request(**_turn(answer, background=True))
        answer.reader = await self.follow(_get_id(created))
        self._record(answer)
        return answer

    async def follow(self, response_id: str) -> EventReader:
        """Read a response as a second reader, from the first event to the last."""
        reader = EventReader()
        reader.response_id = response_id
        await self._read_with_limit(reader, _follow(response_id, None), self._http, None)
        return reader

    def _record(self, answer: Answer) -> None:
        """Take the end of the stream as the end of the answer, and record it."""
        answer.final = answer.final or answer.reader.final
        if answer.final and answer.final["error"]:
            answer.failure_code = answer.final["error"]["code"]
        answer.dialogue.turns.append(answer)
        self._results.answers.append(answer)

    async def _read_with_limit(
        self, reader: EventReader, request: Request, first: httpx.AsyncClient, leave_after: int | None
    ) -> None:
        try:
            async with asyncio.timeout(MAX_ANSWER_S):
                await self._read_to_end(reader, request, first, leave_after)
        except Refused as error:
            reader.faults.append(f"after event {reader.last_number}: {error}")
        except TimeoutError:
            reader.faults.append(f"after event {reader.last_number}: no end within {MAX_ANSWER_S:g} s")

    async def _read_to_end(
        self, reader: EventReader, request: Request, first: httpx.AsyncClient, leave_after: int | None
    ) -> None:
        """Raises Refused."""
        http, wait_s, known = first, FIRST_WAIT_S, -1
        while not reader.is_done:
            try:
                await self._read(reader, request, http, leave_after)
            except ReaderLeft:
                reader.leave()
                leave_after = None
            except httpx.TransportError as error:
                what = f"{request['method']} {request['url']}"
                self._results.lost_connections.append(
                    LostConnection(what, reader.response_id, reader.last_number, repr(error))
                )
                wait_s = await _wait(FIRST_WAIT_S if reader.last_number > known else wait_s)
            known, http = reader.last_number, self._http
            request = _follow(reader.response_id, known) if known >= 0 else request

    async def _read(
        self, reader: EventReader, request: Request, http: httpx.AsyncClient, leave_after: int | None
    ) -> None:
        """Read one connection. Raises ReaderLeft, Refused, TransportError."""
        async with http.stream(**request, timeout=self._silence_s) as answer:
            if answer.status_code != 200:
                await answer.aread()
                await self._wait_as_told(answer)
                return
            async for frame in split_frames(answer.aiter_raw()):
                reader.take(frame)
                if leave_after is not None and len(reader.frames) > leave_after:
                    raise ReaderLeft
        reader.take_end()

    async def _wait_as_told(self, answer: httpx.Response) -> None:
        """Wait for Retry-After. Raises Refused when the answer is not a 503 with that header."""
        error = answer.json()["error"]
        if answer.status_code != 503 or "retry-after" not in answer.headers:
            raise Refused(f"{answer.status_code} {error['code']}: {error['message']}")
        self._results.counts[f"503 {error['code']}"] += 1
        await asyncio.sleep(int(answer.headers["retry-after"]))


def _get_id(made: httpx.Response) -> str:
    """The id of what was created. Raises Refused when nothing was."""
    if made.status_code != 200:
        raise Refused(f"{made.status_code}: {made.text}")
    public_id: str = made.json()["id"]
    return public_id


def _turn(answer: Answer, **body: Any) -> Request:
    body |= {"input": answer.question, **answer.dialogue.anchor, **answer.fields}
    key = {"Idempotency-Key": secrets.token_hex(16)}
    return {"method": "POST", "url": "/v1/responses", "json": body, "headers": key}


def _follow(response_id: str, after: int | None) -> Request:
    query = {"stream": "true"} | ({} if after is None else {"starting_after": str(after)})
    return {"method": "GET", "url": f"/v1/responses/{response_id}", "params": query}


async def _wait(wait_s: float) -> float:
    """Back off; returns the next, longer time."""
    await asyncio.sleep(wait_s)
    return min(2 * wait_s, MAX_WAIT_S)

"""Restores what Redis has let go when somebody asks for it: the one cold path that reads SQL for a client.

A deleted one does not come back: the archive has lost it too, or does not know yet, and then nothing is restored.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import structlog
from django.db import DatabaseError, InterfaceError

from prompts.archive.families import find_family, read_items, read_responses
from prompts.archive.item_places import find_holders
from prompts.domain import ids
from prompts.errors import Unavailable
from prompts.ports.outbox import ItemRecord, Record
from prompts.ports.restoring import Family, Restoring
from prompts.sql_calls import call_and_close

log = structlog.get_logger(__name__)

Value = TypeVar("Value")
Part = TypeVar("Part", ItemRecord, Record)

# Of a process. A look for an id takes a millisecond.
MAX_THREADS = 2
# How long a request waits for it; what was begun goes on.
MAX_WAIT_S = 10.0
RESPONSES_A_SLICE = 20
# Of one look in SQL: opening a connection takes longer than reading fifty.
ITEMS_A_LOOK = 1_000
# Of what Redis is given at once, unless one alone is larger: other clients wait for all of it.
PARTS_A_SLICE = 50
BYTES_A_SLICE = 1024 * 1024
# Of an owner in a process: ids that they make up keep nobody else waiting.
MAX_OWNER_TASKS = 16
# The store is not lost often.
LOOK_S = 30.0
# That the items of one request may bring back.
MAX_HOLDERS = 8
RESTORING = "This conversation is being restored. Try again in a moment."


class ArchiveRestorer:
    """`Restorer` from the archive; `close` it when nobody asks any more."""

    def __init__(self, store: Restoring, *, retention_s: int) -> None:
        """`retention_s` is how long nothing is let go: younger ids are not looked for."""
        self._store = store
        self._retention_ms = retention_s * 1000
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="restore")
        self._tasks: dict[tuple[str, str], asyncio.Task[bool]] = {}
        self._begun_ms, self._looked_at = 0, -LOOK_S

    def close(self) -> None:
        """What has begun is given up: it is erased by itself."""
        for task in self._tasks.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def restore(self, public_id: str, *, owner: str) -> bool:
        """See `Restorer.restore`."""
        if not await self._list_kept([public_id]):
            return False
        asked = (public_id, owner)
        task = self._tasks.get(asked)
        if task is None:  # requests for the same wait together
            if sum(each == owner for _, each in self._tasks) >= MAX_OWNER_TASKS:
                raise Unavailable(RESTORING, retry_after_s=1)
            task = self._tasks[asked] = asyncio.create_task(self._restore(public_id, owner))
            task.add_done_callback(partial(self._forget, asked))
        done, _ = await asyncio.wait({task}, timeout=MAX_WAIT_S)
        if not done:
            raise Unavailable(RESTORING, retry_after_s=5)
        return task.result()

    async def restore_items(self, item_ids: Sequence[str], *, owner: str) -> bool:
        """See `Restorer.restore_items`."""
        kept = await self._list_kept(item_ids)
        if not kept:
            return False
        holders = await self._ask(partial(find_holders, kept, owner=owner, limit=MAX_HOLDERS))
        return any([await self.restore(holder, owner=owner) for holder in holders])

    async def _list_kept(self, public_ids: Sequence[str]) -> Sequence[str]:
        """Those that may be in the archive and not in the store: they may have been let go, or were lost with it."""
        let_go_ms = time.time() * 1000 - self._retention_ms
        if any(ids.get_time_ms(each) > let_go_ms for each in public_ids):
            await self._look_when_it_began()
        newest_ms = max(let_go_ms, self._begun_ms)
        return [each for each in public_ids if ids.get_time_ms(each) <= newest_ms]

    async def _look_when_it_began(self) -> None:
        """Raises Unavailable."""
        if time.monotonic() - self._looked_at >= LOOK_S:
            self._begun_ms, self._looked_at = await self._store.get_begun_ms(), time.monotonic()

    def _forget(self, asked: tuple[str, str], task: asyncio.Task[bool]) -> None:
        self._tasks.pop(asked, None)
        if not task.cancelled():
            task.exception()  # it may be that nobody waits for it any more

    async def _restore(self, public_id: str, owner: str) -> bool:
        find = partial(find_family, public_id, owner=owner)
        family = await self._ask(find)
        if family is None or not _has(family, public_id):
            return False
        token = secrets.token_hex(8)
        match await self._store.begin(family, public_id, token=token):
            case "there":
                return True
            case "gone":
                return False
            case "busy":
                raise Unavailable(RESTORING, retry_after_s=1)
        # From here on nobody else restores or deletes any of it; but somebody may have done both since it was found.
        if not _is_same(family, await self._ask(find)):
            raise Unavailable(RESTORING, retry_after_s=1)
        began = time.monotonic()
        size = await self._write(family, token)
        if not await self._store.finish(family, token=token, size=size):
            raise Unavailable(RESTORING, retry_after_s=1)
        took_ms = round((time.monotonic() - began) * 1000)
        log.info("restored", subject=public_id, responses=len(family.responses), took_ms=took_ms)
        return True

    async def _write(self, family: Family, token: str) -> int:
        """Returns how many bytes it takes."""
        size, root = 0, family.roots[0]
        await self._store.put_timelines(family, token=token)
        for timeline in family.timelines:
            after = 0
            while items := await self._ask(partial(_read_many, timeline.id, after=after)):
                for some in _slice(items):
                    size += await self._store.put_items(timeline.id, some, root=root, token=token)
                after = items[-1].position
        for start in range(0, len(family.responses), RESPONSES_A_SLICE):
            records = await self._ask(partial(read_responses, family.responses[start : start + RESPONSES_A_SLICE]))
            for each in _slice(records):
                size += await self._store.put_responses(each, root=root, token=token)
        return size

    async def _ask(self, call: Callable[[], Value]) -> Value:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call_and_close, call))
        except (DatabaseError, InterfaceError) as exc:
            log.warning("not_restored", reason=type(exc).__name__)
            raise Unavailable("The archive cannot be reached right now. Try again in a moment.") from exc


def _read_many(timeline: str, *, after: int) -> Sequence[ItemRecord]:
    """Items of a timeline behind a position; none: there are no more."""
    found: list[ItemRecord] = []
    room = BYTES_A_SLICE
    while room > 0 and len(found) < ITEMS_A_LOOK and (some := read_items(timeline, after=after)):
        found += some
        after = some[-1].position
        room -= sum(map(_measure, some))
    return found


def _has(family: Family, public_id: str) -> bool:
    """Whether it comes back with its family: of very many responses the oldest stay in the archive."""
    return ids.is_of_kind(public_id, ids.CONVERSATION) or public_id in family.responses


def _slice(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """The parts in order, in slices that hold Redis up no longer than others do."""
    some: list[Part] = []
    room = BYTES_A_SLICE
    for part in parts:
        size = _measure(part)
        if some and (size > room or len(some) >= PARTS_A_SLICE):
            yield some
            some, room = [], BYTES_A_SLICE
        some.append(part)
        room -= size
    if some:
        yield some


def _measure(part: ItemRecord | Record) -> int:
    """About how many bytes it takes."""
    texts = part.fields.values() if isinstance(part, Record) else (part.json, part.kept)
    return sum(map(len, texts))


def _is_same(family: Family, other: Family | None) -> bool:
    """Whether nothing of it was changed or deleted in between; the order of its parts says nothing."""
    return other is not None and _sort(family) == _sort(other)


def _sort(family: Family) -> Sequence[object]:
    records = [{each.id: each.fields for each in some} for some in (family.timelines, family.conversations)]
    return [*records, family.roots, {*family.responses}]

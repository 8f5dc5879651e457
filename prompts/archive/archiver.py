"""Copies to SQL what changes in Redis, beside the turns: they never wait for it, and go on when SQL is away.

Every process looks; of each partition one holds the lease for a moment. A batch that was not settled is copied again.
"""

import asyncio
import random
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import structlog
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError

from prompts.archive.copying import Copied, Copier, Keep, Value, sort_notes
from prompts.archive.writing import LeaseLostError
from prompts.domain import ids
from prompts.errors import Unavailable
from prompts.ports.observer import Archived, ArchiveLooked, Observer
from prompts.ports.outbox import Note, Outbox, Settlement, Taken
from prompts.run.chores import jitter
from prompts.sql_calls import call_and_close

log = structlog.get_logger(__name__)

# What was said can be found about so soon.
LOOK_S = 1.0
# While SQL or Redis is away: twice as long each time, up to this.
MAX_BACKOFF_S = 30.0
# Redis may have been replaced by an empty one.
OPEN_S = 60.0
# Of one look. The thread shares the processor with the turns: many small batches hold them up less than a large one.
PARTITIONS_AT_ONCE = 16
NOTES_A_PARTITION = 16
NOTES_A_BATCH = 64
# With so many answers under way, a process copies a few notes at a time, and rests nine times as long as that took: it
# goes on at a tenth of its speed, in pieces of some milliseconds, and catches up when there are fewer answers.
BUSY_RUNS = 8
REST_A_WORK = 9.0
NOTES_WHILE_BUSY = 4
# Of a lease, which is about three times as long: whoever takes longer to copy a batch renews it.
RENEW_S = 3.0
# So long a write is waited for before others are told that it goes on.
PATIENCE_S = 10.0
# PostgreSQL's class of what is beyond its own limits (a text with too many words for its index): the driver has no
# error of its own for it.
LIMIT_EXCEEDED = "54"


class Archiver:
    """The archiver of a process; `close` it when nothing is copied any more."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        observer: Observer,
        count_runs: Callable[[], int] = lambda: 0,
        renew_s: float = RENEW_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`renew_s` is less than the outbox's lease; `patience_s` is how long SQL may take before that is told.

        `count_runs` says how many answers this process writes.
        """
        self._outbox = outbox
        self._observer = observer
        self._count_runs = count_runs
        self._renew_s = renew_s
        self._patience_s = patience_s
        self._token = secrets.token_hex(8)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._rested_s = 0.0
        """Of the latest look."""

    def close(self) -> None:
        """What has begun comes to its end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def keep_copied(self) -> None:
        """Copy what changes until cancelled, also after failures."""
        loop = asyncio.get_running_loop()
        opened_at, backoff_s = -OPEN_S, LOOK_S
        while True:
            is_more, began = False, loop.time()
            try:
                if loop.time() - opened_at >= OPEN_S:
                    await self._outbox.open()
                    opened_at = loop.time()
                is_more = await self.copy_some()
                backoff_s = LOOK_S
            except (Unavailable, DatabaseError, InterfaceError) as error:
                log.warning("not_archived", reason=type(error).__name__)
                backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)
            took_s = loop.time() - began - self._rested_s
            await asyncio.sleep(self._choose_rest_s(took_s) if is_more else jitter(backoff_s))

    @property
    def _is_busy(self) -> bool:
        return self._count_runs() >= BUSY_RUNS

    def _choose_rest_s(self, took_s: float) -> float:
        """Where there is more to copy: turns do not wait for the archive, it waits for them."""
        return REST_A_WORK * took_s if self._is_busy else 0

    async def keep_closed(self) -> None:
        """Have nothing noted for as long as there is no archive, also after failures: nobody would copy it."""
        while True:
            try:
                await self._outbox.close()
            except Unavailable as error:
                log.warning("archive_not_closed", code=error.code)
            await asyncio.sleep(jitter(OPEN_S))

    async def copy_some(self) -> bool:
        """Copy some of what waits; whether there may be more. Raises Unavailable, DatabaseError, InterfaceError."""
        self._rested_s = 0.0
        backlog = await self._outbox.look()
        self._observer.notice(ArchiveLooked(backlog.lag_s))
        if not backlog.partitions:
            return False
        chosen = random.sample(backlog.partitions, min(PARTITIONS_AT_ONCE, len(backlog.partitions)))
        taken = await self._outbox.take(chosen, token=self._token, count=NOTES_A_PARTITION)
        settlements, keep = _Settlements(taken), _Leases(self._outbox, taken, self._token, self._renew_s).keep
        try:
            notes = [note for each in taken for note in each.notes]
            epochs = {each.partition: each.epoch for each in taken}
            for batch in _slice(notes, NOTES_WHILE_BUSY if self._is_busy else NOTES_A_BATCH):
                await self._copy_in_turn(batch, epochs, settlements, keep)
        except LeaseLostError:
            log.info("archive_lease_lost")
            return False  # whoever has it copies
        finally:
            await self._outbox.settle(settlements.list(), token=self._token)
        for each in taken:
            if each.is_backfilling and len(each.notes) < NOTES_A_PARTITION:
                await self._outbox.backfill(each.partition)
        return len(taken) > 0

    async def _copy_in_turn(
        self, notes: Sequence[Note], epochs: Mapping[str, int], settlements: "_Settlements", keep: Keep
    ) -> None:
        """Copy notes together, and leave the turns their time."""
        began = time.monotonic()
        await self._copy(notes, epochs, settlements, keep)
        rest_s = self._choose_rest_s(time.monotonic() - began)
        self._rested_s += rest_s
        await asyncio.sleep(rest_s)
        await keep()

    async def _copy(
        self, notes: Sequence[Note], epochs: Mapping[str, int], settlements: "_Settlements", keep: Keep
    ) -> None:
        """Copy notes together; when something of them is broken, in halves, until it alone is left, and put off."""
        concerned = {note.partition: epochs[note.partition] for note in notes}
        copier = Copier(self._outbox, self._in_thread, concerned, keep=keep)
        try:
            await copier.copy(sort_notes(notes))
        except Exception as error:
            if not is_broken(error):
                raise
            if len(notes) == 1:
                log.exception("not_archivable", subject=notes[0].subject, reason=type(error).__name__)
                settlements.postpone(notes[0])
                return
            middle = len(notes) // 2
            await self._copy(notes[:middle], epochs, settlements, keep)
            await self._copy(notes[middle:], epochs, settlements, keep)
            return
        self._observer.notice(Archived(copier.copied.rows))
        settlements.add(notes, copier.copied)

    async def _in_thread(self, call: Callable[[], Value]) -> Value:
        """Make the call. While SQL does not answer, the lag goes on to be told: nobody else looks meanwhile."""
        made = asyncio.get_running_loop().run_in_executor(self._thread, partial(call_and_close, call))
        while not (await asyncio.wait({made}, timeout=self._patience_s))[0]:
            log.warning("not_archived", reason="NoAnswer")
            with suppress(Unavailable):
                self._observer.notice(ArchiveLooked((await self._outbox.look()).lag_s))
        return await made


def is_broken(error: Exception) -> bool:
    """Whether something cannot be written as it is, whoever tries; else Redis or SQL is away, or the lease is lost."""
    if isinstance(error, DataError | IntegrityError):
        return True
    if isinstance(error, DatabaseError):
        return str(getattr(error.__cause__, "sqlstate", None) or "").startswith(LIMIT_EXCEEDED)
    return not isinstance(error, InterfaceError | LeaseLostError | Unavailable)


class _Leases:
    """The leases of the partitions that were taken."""

    def __init__(self, outbox: Outbox, taken: Sequence[Taken], token: str, renew_s: float) -> None:
        self._outbox = outbox
        self._renew_s = renew_s
        self._partitions = [each.partition for each in taken]
        self._token = token
        self._renewed_at = time.monotonic()

    async def keep(self) -> None:
        """Renew them, when it is time. Called as work goes on: who hangs loses them. Raises Unavailable."""
        if time.monotonic() - self._renewed_at >= self._renew_s:
            await self._outbox.take(self._partitions, token=self._token, count=0)
            self._renewed_at = time.monotonic()


class _Settlements:
    """What becomes of the notes that were taken."""

    def __init__(self, taken: Sequence[Taken]) -> None:
        self._partitions = [each.partition for each in taken]
        self._copied: defaultdict[str, list[Note]] = defaultdict(list)
        self._postponed: defaultdict[str, list[Note]] = defaultdict(list)
        self._let_go: list[Copied] = []

    def add(self, notes: Sequence[Note], copied: Copied) -> None:
        """These are copied."""
        for note in notes:
            self._copied[note.partition].append(note)
        self._let_go.append(copied)

    def postpone(self, note: Note) -> None:
        """This one is not."""
        self._postponed[note.partition].append(note)

    def list(self) -> Sequence[Settlement]:
        """One for each partition that was taken."""
        let_go = [member for copied in self._let_go for member in copied.let_go]
        return [
            Settlement(
                partition,
                self._copied[partition],
                [member for member in let_go if ids.get_partition(member.partition(":")[2]) == partition],
                self._postponed[partition],
            )
            for partition in self._partitions
        ]


def _slice(notes: Sequence[Note], size: int) -> Sequence[Sequence[Note]]:
    return [notes[start : start + size] for start in range(0, len(notes), size)]

"""Erases what projects do not keep any longer: what was used last before their days to keep, here and in the archive.

Any number of processes may do so at once: each deletion is one script that looks whether it was used meanwhile. One of
them is enough, so replicas agree on one an hour.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

import structlog
from django.db import DatabaseError, InterfaceError
from django.db.models import Q

from prompts.archive.counting import count_archived
from prompts.archive.erasure_receipts import ReceiptWriter
from prompts.archive.families import find_archived
from prompts.archive.family_erasing import count_living, drop_words, erase_archived, erase_living
from prompts.domain import ids
from prompts.errors import BrokenRecord, ServiceError
from prompts.models import ArchivedConversation, ArchivedResponse, Project
from prompts.ports.eraser import Eraser
from prompts.ports.families import Families
from prompts.run.chores import jitter
from prompts.sql_calls import ask_sql

log = structlog.get_logger(__name__)

# Days are kept: an hour more does not matter.
SWEEP_S = 3_600
# Before a replica looks whether somebody sweeps, and after a failure.
LOOK_S = 300.0
DAY_S = 24 * 3_600
ROWS_A_SLICE = 100

Place: TypeAlias = tuple[datetime, str]
Rows: TypeAlias = Sequence[tuple[datetime, str, str]]
"""When it was used, its id, its timeline."""


class Retention:
    """The days to keep of all projects, applied by one process."""

    def __init__(
        self,
        families: Families,
        eraser: Eraser,
        *,
        look_s: float = LOOK_S,
        read_clock: Callable[[], float] = time.time,
    ) -> None:
        """`look_s` is how long it waits before it looks; `read_clock` gives the time, in seconds."""
        self._families = families
        self._eraser = eraser
        self._look_s = look_s
        self._read_clock = read_clock

    async def keep_applied(self) -> None:
        """Apply them about every hour, over all replicas, until cancelled, also after failures."""
        while True:
            await asyncio.sleep(jitter(self._look_s))
            try:
                if await self._families.claim_sweep(SWEEP_S):
                    await self._apply_claimed()
            except (ServiceError, DatabaseError, InterfaceError) as error:
                log.warning("retention_not_applied", reason=type(error).__name__)

    async def _apply_claimed(self) -> None:
        try:
            await self.apply()
        except BaseException:
            with suppress(ServiceError):  # then nobody sweeps for an hour
                await self._families.give_back_sweep()
            raise

    async def apply(self, *, is_dry: bool = False) -> Mapping[str, Counter[str]]:
        """Erase once what is due; what was erased of each owner with a policy, or with `is_dry` would be.

        What cannot be erased by itself is logged, and tried again the next time. Raises Unavailable, DatabaseError,
        InterfaceError; what was erased until then is in the receipts.
        """
        policies = await ask_sql(partial(_read_policies, self._read_clock()))
        if policies:
            is_complete = False
            try:
                await _Sweep(self._families, self._eraser, policies, is_dry=is_dry).sweep()
                is_complete = True
            finally:
                with suppress(DatabaseError, InterfaceError):  # the receipts have the counts, and are not complete
                    for policy in policies.values():
                        is_whole = is_complete and not policy.has_failures
                        await ask_sql(partial(policy.receipt.end, is_complete=is_whole))
                if not is_dry and any(policy.counts for policy in policies.values()):
                    await drop_words()
        return {owner: policy.counts for owner, policy in policies.items()}


@dataclass(slots=True)
class _Policy:
    """What one owner keeps, and what was erased."""

    owner: str
    cutoff_s: float
    receipt: ReceiptWriter
    counts: Counter[str] = field(default_factory=Counter)
    has_failures: bool = False

    @property
    def cutoff(self) -> datetime:
        return datetime.fromtimestamp(self.cutoff_s, UTC)


class _Sweep:
    """One pass over Redis, then one over the archive."""

    def __init__(self, families: Families, eraser: Eraser, policies: Mapping[str, _Policy], *, is_dry: bool) -> None:
        self._families = families
        self._eraser = eraser
        self._policies = policies
        self._is_dry = is_dry
        # Of the archive, what was looked at: a family has many responses.
        self._seen: set[str] = set()

    async def sweep(self) -> None:
        """Raises Unavailable, DatabaseError, InterfaceError."""
        newest_ms = max(policy.cutoff_s for policy in self._policies.values()) * 1000
        for partition in ids.all_partitions():
            async for owners in self._families.list_members(partition, made_before_ms=newest_ms):
                for member, owner in owners.items():
                    if policy := self._policies.get(owner):
                        await _try(policy, member, partial(self._pass_living, policy, member))
        for policy in self._policies.values():
            await self._pass_archived(policy, _list_conversations)
            await self._pass_archived(policy, _list_chained)

    async def _pass_living(self, policy: _Policy, member: str) -> None:
        family = await self._families.find(member)
        if family is None or family.is_active or family.used_ms >= policy.cutoff_s * 1000:
            return
        if self._is_dry:
            self._seen.update(family.timelines)
            policy.counts += count_living(family) + await ask_sql(
                partial(count_archived, timelines=family.timelines, conversations=family.conversations)
            )
            return
        await ask_sql(policy.receipt.begin)
        erased = await erase_living(family, families=self._families, eraser=self._eraser, only_unused=True)
        await self._count(policy, erased)

    async def _pass_archived(self, policy: _Policy, list_rows: "Callable[[str, datetime, Place | None], Rows]") -> None:
        after: Place | None = None
        while rows := await ask_sql(partial(list_rows, policy.owner, policy.cutoff, after)):
            for _, subject, timeline in rows:
                if timeline not in self._seen:
                    await _try(policy, subject, partial(self._pass_row, policy, timeline))
            after = rows[-1][:2]

    async def _pass_row(self, policy: _Policy, timeline: str) -> None:
        family = await ask_sql(partial(find_archived, timeline))
        self._seen.update({timeline, *family.timelines})
        if family.used_at is None or family.used_at >= policy.cutoff:
            return
        if self._is_dry:
            policy.counts += await ask_sql(
                partial(count_archived, timelines=family.timelines, conversations=family.conversations)
            )
            return
        await ask_sql(policy.receipt.begin)
        await self._count(policy, await erase_archived(family, families=self._families))

    async def _count(self, policy: _Policy, erased: Counter[str] | None) -> None:
        if erased:
            policy.counts += erased
            await ask_sql(partial(policy.receipt.add, erased))


async def _try(policy: _Policy, subject: str, step: Callable[[], Awaitable[None]]) -> None:
    """One that cannot be read or erased must not keep the others. Raises what a dependency that is away raises."""
    try:
        await step()
    except BrokenRecord:
        policy.has_failures = True
        log.exception("not_erased", subject=subject, owner=policy.owner)


def _read_policies(now_s: float) -> dict[str, _Policy]:
    rows = Project.objects.filter(keep_days__gte=1).values_list("owner", "keep_days")
    return {
        owner: _Policy(
            owner,
            now_s - (days or 0) * DAY_S,
            ReceiptWriter(owner, by="policy", reason=f"Not used for {days} days: its project keeps nothing longer."),
        )
        for owner, days in rows
    }


def _list_conversations(owner: str, before: datetime, after: Place | None) -> Rows:
    rows = ArchivedConversation.objects.filter(owner=owner, last_used_at__lt=before)
    if after is not None:
        rows = rows.filter(Q(last_used_at__gt=after[0]) | Q(last_used_at=after[0], id__gt=after[1]))
    return list(rows.order_by("last_used_at", "id").values_list("last_used_at", "id", "timeline")[:ROWS_A_SLICE])


def _list_chained(owner: str, before: datetime, after: Place | None) -> Rows:
    """Responses that are in no conversation."""
    rows = ArchivedResponse.objects.filter(owner=owner, conversation=None, created_at__lt=before)
    if after is not None:
        rows = rows.filter(Q(created_at__gt=after[0]) | Q(created_at=after[0], id__gt=after[1]))
    return list(rows.order_by("created_at", "id").values_list("created_at", "id", "timeline")[:ROWS_A_SLICE])

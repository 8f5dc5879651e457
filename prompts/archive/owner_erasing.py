"""Erases everything of an owner: one step a kind of thing. What is away stops its own step only, and is said.

Keys are revoked first, so nothing new comes. Each step finds what there is by its owner, so the same erasure again goes
on with what is left; the rows of the keys go last.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import structlog
from django.db import DatabaseError, InterfaceError

from prompts.archive import owner_rows
from prompts.archive.counting import FILES, REDIS_RECORDS, VECTOR_STORES, VECTORS
from prompts.archive.erasure_receipts import ReceiptWriter
from prompts.archive.families import find_archived
from prompts.archive.family_erasing import erase_archived, erase_living
from prompts.archive.knowledge_erasing import (
    ErasurePorts,
    erase_vector_store,
    erase_whole_file,
    wait_until_unindexed,
)
from prompts.domain import ids
from prompts.domain.files import File
from prompts.errors import BrokenRecord, ServiceError
from prompts.ports.api_keys import ApiKeys
from prompts.ports.origins import Origins
from prompts.ports.project_limits import ProjectLimits
from prompts.ports.user_proofs import UserProofs
from prompts.publishing.api_keys import reconcile as reconcile_keys
from prompts.publishing.limits import reconcile_limits
from prompts.publishing.origins import reconcile_origins
from prompts.run.erasing_files import erase_due_files
from prompts.run.publishing_prompts import reconcile as reconcile_prompts
from prompts.sql_calls import ask_sql
from prompts.usecases.prompts import PromptPorts

log = structlog.get_logger(__name__)

read_file = msgspec.json.Decoder(File).decode

# Until then replicas have written what they knew of the owner: which factors their answers taught, what ran.
QUIET_S = 6.0
FILES_A_PAGE = 100
# The end of all time, in milliseconds.
EVER_MS = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerPorts(ErasurePorts):
    """All that holds something of an owner."""

    prompts: PromptPorts
    api_keys: ApiKeys
    origins: Origins
    limits: ProjectLimits
    proofs: UserProofs


@dataclass(slots=True)
class Erased:
    """What was erased, by its kind, and what could not be, each with its reason."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


async def erase_owner(owner: str, *, by: str, ports: OwnerPorts, quiet_s: float = QUIET_S) -> Erased:
    """Erase all of it, with a receipt. Raises DatabaseError, InterfaceError when SQL is away from the start."""
    receipt = ReceiptWriter(owner, by=by, reason="Everything of this owner.")
    await ask_sql(receipt.begin)
    erasure = _OwnerErasure(owner, ports, receipt)
    for name, step in erasure.list_steps(quiet_s):
        await erasure.take(name, step)
    if not erasure.erased.failures:
        await erasure.take("API keys", erasure.delete_keys)
    await ask_sql(partial(receipt.end, is_complete=not erasure.erased.failures))
    return erasure.erased


class _OwnerErasure:
    def __init__(self, owner: str, ports: OwnerPorts, receipt: ReceiptWriter) -> None:
        self.erased = Erased()
        self._owner = owner
        self._ports = ports
        self._receipt = receipt

    def list_steps(self, quiet_s: float) -> Sequence[tuple[str, Callable[[], Awaitable[None]]]]:
        """In their order."""
        return [
            ("API keys", self._revoke_keys),
            ("prompts", self._erase_prompts),
            ("conversations and responses", self._erase_histories),
            ("archive", self._erase_archive),
            ("vector stores", self._erase_vector_stores),
            ("files", self._erase_files),
            ("project", self._erase_project),
            ("counters", partial(self._erase_counters, quiet_s)),
        ]

    async def take(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        """A step; when something is away, the others go on."""
        try:
            await step()
        except ServiceError as error:
            self._fail(name, error.message)
        except (DatabaseError, InterfaceError):
            self._fail(name, "SQL cannot be reached.")

    def _fail(self, name: str, reason: str) -> None:
        log.warning("owner_not_erased", owner=self._owner, what=name, reason=reason)
        self.erased.failures.append(f"{name}: {reason}")

    async def _count(self, counts: Counter[str]) -> None:
        if counts := +counts:
            self.erased.counts += counts
            await ask_sql(partial(self._receipt.add, counts))

    async def _revoke_keys(self) -> None:
        revoked = await ask_sql(partial(owner_rows.revoke_keys, self._owner))
        await self._count(Counter({"API keys revoked": revoked}))
        await reconcile_keys(self._ports.api_keys)
        await self._ports.proofs.withdraw([self._owner])

    async def _erase_prompts(self) -> None:
        deleted = await ask_sql(partial(owner_rows.delete_prompts, self._owner))
        await self._count(Counter({"Prompts": deleted}))
        await reconcile_prompts(self._ports.prompts.store, self._ports.prompts.published)

    async def _erase_histories(self) -> None:
        found = await self._ports.traces.find(self._owner)  # before the responses that they lead to
        records = await self._ports.traces.erase_records(found.idempotency_records)
        await self._count(Counter({REDIS_RECORDS: records}))
        for partition in ids.all_partitions():
            async for owners in self._ports.families.list_members(partition, made_before_ms=EVER_MS):
                for member in [member for member, owner in owners.items() if owner == self._owner]:
                    await self._erase_family(member)

    async def _erase_family(self, member: str) -> None:
        family = await self._ports.families.find(member)
        if family is None:
            return
        families, eraser = self._ports.families, self._ports.eraser
        try:
            erased = await erase_living(family, families=families, eraser=eraser, only_unused=False)
        except BrokenRecord as error:  # it must not keep the others
            self._fail(member, error.message)
        else:
            await self._count(erased or Counter())

    async def _erase_archive(self) -> None:
        """What is in the archive only is not to be restored; then every row."""
        after = ""
        while timelines := await ask_sql(partial(owner_rows.list_archived, self._owner, after=after)):
            for timeline in timelines:
                family = await ask_sql(partial(find_archived, timeline))
                if family.timelines:  # else it went with another one
                    await self._count(await erase_archived(family, families=self._ports.families) or Counter())
            after = timelines[-1]
        await self._count(await ask_sql(partial(owner_rows.erase_rows, self._owner)))

    async def _erase_vector_stores(self) -> None:
        found = (await self._ports.traces.find(self._owner)).vector_stores
        for store_id in found:
            if await erase_vector_store(store_id, owner=self._owner, ports=self._ports):
                await self._count(Counter({VECTOR_STORES: 1}))
        await wait_until_unindexed(found, ports=self._ports)

    async def _erase_files(self) -> None:
        ports = self._ports.files
        while True:
            page = await ports.store.list_files(
                owner=self._owner, purpose=None, limit=FILES_A_PAGE, order="asc", after=None
            )
            if not page.data:
                break
            for shown in page.data:
                if await erase_whole_file(read_file(shown).id, owner=self._owner, ports=self._ports):
                    await self._count(Counter({FILES: 1}))
        await erase_due_files(store=ports.store, storage=ports.storage, detach=ports.detach)  # those that have expired

    async def _erase_project(self) -> None:
        deleted = await ask_sql(partial(owner_rows.delete_project, self._owner))
        await self._count(Counter({"Project": deleted}))
        await reconcile_limits(self._ports.limits)
        await reconcile_origins(self._ports.origins)

    async def _erase_counters(self, quiet_s: float) -> None:
        if not self.erased.failures:  # else the same erasure comes again
            await asyncio.sleep(quiet_s)
        hashes = await ask_sql(partial(owner_rows.list_key_hashes, self._owner))
        erased = await self._ports.traces.erase_counters(self._owner, key_hashes=hashes)
        await self._count(Counter({"Redis: counters and indexes": erased}))
        await self._count(Counter({VECTORS: await self._ports.traces.forget_vectors()}))

    async def delete_keys(self) -> None:
        """The last step."""
        deleted = await ask_sql(partial(owner_rows.delete_keys, self._owner))
        await self._count(Counter({"API keys": deleted}))

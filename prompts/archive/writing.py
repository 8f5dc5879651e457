"""What the archiver writes: one transaction a batch. Sync, for its own thread. The same batch again changes nothing."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from django.db import transaction
from django.db.models import OuterRef, Subquery

from prompts.archive.erasing import erase_chain, erase_conversations, erase_items, erase_responses
from prompts.archive.rows import build_conversation, build_item, build_response, build_timeline
from prompts.archive.summing import sum_up_chains, sum_up_conversations
from prompts.domain import ids
from prompts.models.archive import (
    ArchivedConversation,
    ArchivedItem,
    ArchivedResponse,
    ArchivedTimeline,
    ArchivePartition,
)
from prompts.models.histories import ArchivedChain
from prompts.ports.outbox import ItemRecord, Record

Row = TypeVar("Row", ArchivedConversation, ArchivedTimeline, ArchivedResponse)


class LeaseLostError(Exception):
    """Another archiver has written since this one took its lease: what this one has read may be old."""


@dataclass(frozen=True, slots=True)
class TimelineCopy:
    """A timeline with some of its items; `copied` is how far they are copied with these."""

    record: Record
    owner: str
    copied: int
    items: Sequence[ItemRecord] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is written together; `epochs` are those of the partitions it is about."""

    epochs: Mapping[str, int]
    conversations: Sequence[Record] = ()
    timelines: Sequence[TimelineCopy] = ()
    responses: Sequence[Record] = ()
    gone: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Ids of what was erased, by its kind: conv, resp, chain, item."""
    expired: Collection[str] = ()
    """Conversations and timelines that Redis lets go."""


@dataclass(frozen=True, slots=True)
class Known:
    """How far a timeline is copied, and the last item that is here; "", 0: none of its own."""

    copied: int
    item_id: str
    position: int


def find_copied(timelines: Collection[str]) -> dict[str, Known]:
    """Those of the timelines that are here."""
    last = ArchivedItem.objects.filter(timeline=OuterRef("pk")).order_by("-position")
    rows = ArchivedTimeline.objects.filter(id__in=timelines).annotate(
        last_id=Subquery(last.values("item_id")[:1]), last_position=Subquery(last.values("position")[:1])
    )
    return {row.id: Known(row.copied, row.last_id or "", row.last_position or 0) for row in rows}


def list_item_ids(timeline: str) -> list[str]:
    """The items of a timeline that are here."""
    return list(ArchivedItem.objects.filter(timeline=timeline).values_list("item_id", flat=True))


@transaction.atomic
def write_batch(batch: Batch) -> Counter[str]:
    """Write it; how many rows of each kind were written, and how many things `erased`.

    Raises LeaseLostError; ValueError, KeyError, TypeError or DatabaseError for what cannot be written.
    """
    _take_turn(batch.epochs)
    written: Counter[str] = Counter()
    for copy in batch.timelines:
        written["items"] += _write_items(copy)
    written["timelines"] = _write_timelines(batch.timelines)
    written["conversations"] = _write_conversations(batch.conversations)
    chains = _find_timelines([each.id for each in batch.responses])  # an answer may be put on a branch when it ends
    written["responses"] = _write_responses(batch.responses)
    written["erased"] = _erase(batch.gone)
    for histories in (ArchivedConversation, ArchivedChain):
        histories.objects.filter(id__in=batch.expired).update(expired_at=datetime.now(UTC))
    concerned = {each.id for each in batch.conversations}
    concerned |= {each.fields["anchor"] for each in batch.responses if each.fields["anchor_kind"] == "conversation"}
    sum_up_conversations(concerned)
    sum_up_chains(chains | {each.fields["timeline"] for each in batch.responses}, is_used=True)
    return +written


def _take_turn(epochs: Mapping[str, int]) -> None:
    """Locks the partitions until the end of the transaction."""
    rows = ArchivePartition.objects.select_for_update().filter(partition__in=epochs).order_by("partition")
    found = {row.partition: row for row in rows}
    if len(found) < len(epochs):
        missing = [ArchivePartition(partition=each) for each in ids.all_partitions()]
        ArchivePartition.objects.bulk_create(missing, ignore_conflicts=True)
        found = {row.partition: row for row in rows.all()}
    for partition, row in found.items():
        if row.epoch > epochs[partition]:
            raise LeaseLostError(partition)
        row.epoch = epochs[partition]
    ArchivePartition.objects.bulk_update(found.values(), ["epoch"])


def _write_items(copy: TimelineCopy) -> int:
    """Write what comes next on a timeline. What is there already is replaced: Redis may have lost what it held."""
    timeline, fields = copy.record.id, copy.record.fields
    first = copy.items[0].position if copy.items else copy.copied + 1
    ArchivedItem.objects.filter(timeline=timeline, position__gte=first).delete()
    ArchivedItem.objects.filter(item_id__in=[item.id for item in copy.items]).delete()
    conversation_id = fields.get("conversation", "")
    rows = [
        build_item(item, timeline=timeline, conversation_id=conversation_id, owner=copy.owner) for item in copy.items
    ]
    return len(ArchivedItem.objects.bulk_create(rows))


def _write_timelines(copies: Sequence[TimelineCopy]) -> int:
    rows = {copy.record.id: build_timeline(copy.record, owner=copy.owner, copied=copy.copied) for copy in copies}
    return _put(ArchivedTimeline, list(rows.values()), kept=())


def _write_conversations(records: Sequence[Record]) -> int:
    summary = ("last_model", "last_prompt_id", "last_status", "last_feedback", "has_error")
    return _put(ArchivedConversation, [build_conversation(record) for record in records], kept=summary)


def _write_responses(records: Sequence[Record]) -> int:
    return _put(ArchivedResponse, [build_response(record) for record in records], kept=())


def _put(model: type[Row], rows: Sequence[Row], *, kept: Collection[str]) -> int:
    """Insert rows, or write over those that are there, but for what is `kept`."""
    fields = model._meta.concrete_fields  # noqa: SLF001 -- Django's documented name for it
    columns = [each.name for each in fields if not each.primary_key and each.name not in kept]
    model.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=columns)
    return len(rows)


def _erase(gone: Mapping[str, Collection[str]]) -> int:
    erased: Counter[str] = Counter()
    if conversation_ids := gone.get("conv"):
        erased += erase_conversations(conversation_ids)
    for root in gone.get("chain", ()):
        erased += erase_chain(root)
    if response_ids := gone.get("resp"):
        concerned = ArchivedResponse.objects.filter(id__in=response_ids, conversation__isnull=False)
        conversation_ids = {*concerned.values_list("conversation_id", flat=True)}
        chains = _find_timelines(response_ids)
        erased += erase_responses(response_ids)
        sum_up_conversations(conversation_ids)
        sum_up_chains(chains, is_used=False)
    if item_ids := gone.get("item"):
        erased += erase_items(item_ids)
    return erased.total()


def _find_timelines(response_ids: Collection[str]) -> set[str]:
    """Where these responses stand in the archive."""
    return {*ArchivedResponse.objects.filter(id__in=response_ids).values_list("timeline", flat=True)}

"""What lives and goes together, from the archive: a conversation or a chain with all that was forked from it.

Sync, for a thread. Records are as Redis had them.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Q
from django.db.models.functions import Length
from django.utils import timezone

from prompts.archive.erasing import slice_ids
from prompts.archive.rows import RESPONSE_COLUMNS
from prompts.domain import ids
from prompts.models.archive import ArchivedConversation, ArchivedItem, ArchivedResponse, ArchivedTimeline
from prompts.ports.outbox import ItemRecord, Record
from prompts.ports.restoring import Family

# Found from one moment on, in one script; of a family with more, the oldest stay in the archive.
MAX_RESPONSES = 2_000
ITEMS_A_READ = 50
# Of items together, unless one alone has more.
CHARACTERS_A_READ = 2_000_000
# An idempotency record is kept for 24 hours from the last request that named it, while the response was being made.
CLAIMS_KEPT_S = 48 * 3600


def find_family(public_id: str, *, owner: str) -> Family | None:
    """The family of a conversation or a response of this owner; None when the archive has none."""
    timeline = _find_timeline(public_id, owner)
    timelines = _find_timelines(timeline) if timeline else {}
    if not timelines:
        return None
    conversations = ArchivedConversation.objects.filter(id__in={row.conversation_id for row in timelines.values()})
    responses = ArchivedResponse.objects.filter(timeline__in=timelines).exclude(status="in_progress")
    placed = list(responses.order_by("-created_at", "-id").values_list("id", "timeline")[:MAX_RESPONSES])
    roots = sorted(each.id for each in timelines.values() if each.root == each.id)
    holders = _list_holders(timelines)
    return Family(
        owner=owner,
        expiry=timelines[roots[0]].record["expiry"],
        roots=roots,
        timelines=[Record(row.id, row.record) for row in timelines.values()],
        conversations=[
            *(Record(row.id, {**row.record, "active": ""}) for row in conversations),
            *(Record(holder, {"owner": owner, "timeline": former}) for holder, former in holders.items()),
        ],
        responses=[response_id for response_id, _ in placed],
        parts=_list_parts(timelines, placed, holders),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedFamily:
    """What the archive has of a family; `members` are all that it may live by in Redis."""

    used_at: datetime | None
    members: Collection[str]
    roots: Collection[str]
    timelines: Collection[str]
    conversations: Collection[str]


def find_archived(timeline: str) -> ArchivedFamily:
    """The family of a timeline, without what it holds, and when any of it was used last."""
    return _sum_up(_find_timelines(timeline))


def find_branch(conversation_id: str, *, owner: str) -> ArchivedFamily | None:
    """A conversation with all that hangs on it, which may itself be a fork; None when this owner has no such one."""
    found: dict[str, ArchivedTimeline] = {}
    timelines = ArchivedTimeline.objects.filter(owner=owner)
    named = list(
        ArchivedConversation.objects.filter(id=conversation_id, owner=owner).values_list("timeline", flat=True)
    )
    rows = list(timelines.filter(Q(conversation_id=conversation_id) | Q(id__in=named)))
    if not named and not rows:
        return None
    while fresh := {row.id: row for row in rows if row.id not in found}:
        found |= fresh
        conversation_ids = {row.conversation_id for row in fresh.values()} - {""}
        bound = Q(root__in=fresh) | Q(origin__in=fresh) | Q(conversation_id__in=conversation_ids)
        rows = list(timelines.filter(bound))
    return _sum_up(found, conversation_id)


def find_chain(chain_id: str, *, owner: str) -> ArchivedFamily | None:
    """The chain that a timeline is of, from its first response on, with all that goes on from it.

    None when this owner has no such one, or it goes on from a conversation: then it is that one's.
    """
    row = ArchivedTimeline.objects.filter(id=chain_id, owner=owner).first()
    family = find_archived(row.root) if row is not None else None
    return family if family is not None and not family.conversations else None


def find_compacted(branch: ArchivedFamily, *, owner: str) -> Sequence[ArchivedFamily]:
    """The chains that begin with a compaction of its history, or of such a chain: they have its words."""
    rows = ArchivedResponse.objects.filter(owner=owner, conversation=None, record_json__contains='"compacted":')
    made = {row.timeline: row.record["compacted"] for row in rows.only("timeline", "record_json").iterator()}
    found: list[ArchivedFamily] = []
    seen = {*branch.timelines}
    fresh: Collection[str] = branch.timelines
    while made and fresh:
        responses = {found_id for some in slice_ids(fresh) for found_id in _list_responses(some)}
        begun = [timeline for timeline, source in made.items() if source in responses and timeline not in seen]
        families = [find_archived(timeline) for timeline in begun]
        fresh = {timeline for family in families for timeline in family.timelines} - seen
        seen |= fresh
        found += families
    return found


def _list_responses(timelines: Collection[str]) -> Sequence[str]:
    return list(ArchivedResponse.objects.filter(timeline__in=timelines).values_list("id", flat=True))


def _sum_up(timelines: Mapping[str, ArchivedTimeline], conversation_id: str = "") -> ArchivedFamily:
    conversation_ids = {conversation_id, *(row.conversation_id for row in timelines.values())} - {""}
    roots = {row.root for row in timelines.values()}
    conversations = ArchivedConversation.objects.filter(id__in=conversation_ids)
    answered = ArchivedResponse.objects.filter(timeline__in=timelines)
    times = [
        conversations.aggregate(at=Max("last_used_at"))["at"],
        answered.aggregate(at=Max("created_at"))["at"],
    ]
    return ArchivedFamily(
        used_at=max((at for at in times if at is not None), default=None),
        members={*(f"conv:{each}" for each in conversation_ids), *(f"chain:{root}" for root in roots)},
        roots=roots,
        timelines={*timelines},
        conversations=conversation_ids,
    )


def read_claims(timelines: Collection[str]) -> Mapping[str, str]:
    """Which idempotency records may still lead to responses on these timelines, by the responses' ids."""
    since = timezone.now() - timedelta(seconds=CLAIMS_KEPT_S)
    rows = ArchivedResponse.objects.filter(created_at__gte=since)
    found = [row for some in slice_ids(timelines) for row in rows.filter(timeline__in=some).only("id", "record_json")]
    return {row.id: claims for row in found if (claims := row.record.get("claims", ""))}


def read_items(timeline: str, *, after: int) -> Sequence[ItemRecord]:
    """Some items of a timeline behind a position, in order; none: there are no more."""
    left = ArchivedItem.objects.filter(timeline=timeline, position__gt=after).order_by("position")
    room, upto = CHARACTERS_A_READ, after
    for position, size in left.values_list("position", Length("content_json"))[:ITEMS_A_READ]:
        if size > room and upto > after:
            break
        room, upto = room - size, position
    rows = left.filter(position__lte=upto)
    return [ItemRecord(row.item_id, row.position, row.content_json, row.tokens, row.kept_json) for row in rows]


def read_responses(response_ids: Collection[str]) -> Sequence[Record]:
    """Responses with all their fields."""
    return [_read_response(row) for row in ArchivedResponse.objects.filter(id__in=response_ids)]


def _read_response(row: ArchivedResponse) -> Record:
    columns = {field: getattr(row, column) for field, column in RESPONSE_COLUMNS.items()}
    return Record(row.id, {**row.record, **{field: value for field, value in columns.items() if value}})


def _find_timeline(public_id: str, owner: str) -> str | None:
    if ids.is_of_kind(public_id, ids.CONVERSATION):
        conversations = ArchivedConversation.objects.filter(id=public_id, owner=owner)
        return conversations.values_list("timeline", flat=True).first()
    return ArchivedResponse.objects.filter(id=public_id, owner=owner).values_list("timeline", flat=True).first()


def _find_timelines(timeline: str) -> Mapping[str, ArchivedTimeline]:
    """All that are bound to one: by their root, by a fork, or as timelines of the same conversation."""
    found: dict[str, ArchivedTimeline] = {}
    wanted, conversation_ids = {timeline}, {""}
    while wanted:
        bound = Q(id__in=wanted) | Q(root__in=wanted) | Q(origin__in=wanted)
        rows = list(ArchivedTimeline.objects.filter(bound | Q(conversation_id__in=conversation_ids - {""})))
        fresh = [row for row in rows if row.id not in found]
        found |= {row.id: row for row in fresh}
        conversation_ids = {row.conversation_id for row in fresh}
        named = {name for row in fresh for name in (row.id, row.root, row.origin) if name}
        wanted = named if fresh else set()
    return found


def _list_holders(timelines: Mapping[str, ArchivedTimeline]) -> Mapping[str, str]:
    """The timelines that took the place of a conversation's former one, and that one (`lua/parts/staged.lua`)."""
    of_conversations: defaultdict[str, list[str]] = defaultdict(list)
    for row in timelines.values():
        if row.conversation_id:
            of_conversations[row.conversation_id].append(row.id)
    followed = [list(zip(sorted(each)[1:], sorted(each)[:-1], strict=True)) for each in of_conversations.values()]
    return {later: former for pairs in followed for later, former in pairs}  # ids are in order of time


def _list_parts(
    timelines: Mapping[str, ArchivedTimeline], responses: Sequence[tuple[str, str]], holders: Mapping[str, str]
) -> Mapping[str, Sequence[str]]:
    """What is erased with each root."""
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for response_id, timeline in responses:
        parts[timelines[timeline].root].append(f"resp:{response_id}")
    for row in timelines.values():
        if row.root != row.id:
            parts[row.root].append(f"tl:{row.id}")
        elif row.origin in timelines and row.id not in holders:
            parts[row.origin].append(f"conv:{row.conversation_id}")
    for later in holders:
        parts[later].append(f"conv:{later}")
    return parts

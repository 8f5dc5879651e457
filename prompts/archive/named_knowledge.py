"""Which files and vector stores the archive and the prompts name. Sync, for a thread. Raises DatabaseError."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import msgspec
from django.db.models import Q

from prompts.archive.erasing import slice_ids
from prompts.archive.search import limited_time
from prompts.domain import ids
from prompts.domain.items import Item
from prompts.domain.named_files import list_named
from prompts.models import ArchivedConversation, ArchivedItem, ArchivedResponse, PromptVersion

# The page keeps a conversation's own vector store in its metadata (`static/page/talk.js`).
PAGE_STORE = "eps_page_files"
# As each item that names a file has it, and each that cites one.
NAMES_FILE = '"file_id":'
# Of an owner who has said very much; then it is not known what else uses a file, and it stays.
MAX_LOOK_S = 20.0
# Items may hold pictures.
ROWS_A_READ = 20
_FILE_ID = re.compile(r"file-[0-9a-f]{32}")
_decode_items = msgspec.json.Decoder(list[Item]).decode


@dataclass(slots=True)
class Named:
    """Ids of files and of vector stores."""

    files: set[str] = field(default_factory=set)
    stores: set[str] = field(default_factory=set)


def find_named(*, timelines: Collection[str], conversations: Collection[str]) -> Named:
    """What these conversations have been given: files in their items and inputs, and their own vector stores."""
    found = Named()
    for some in slice_ids(timelines):
        items = ArchivedItem.objects.filter(timeline__in=some, content_json__contains=NAMES_FILE)
        inputs = ArchivedResponse.objects.filter(timeline__in=some, input_json__contains=NAMES_FILE)
        for text in items.values_list("content_json", flat=True).iterator(ROWS_A_READ):
            found.files.update(_list_files(f"[{text}]"))
        for text in inputs.values_list("input_json", flat=True).iterator(ROWS_A_READ):
            found.files.update(_list_files(text))
    for some in slice_ids(conversations):
        rows = ArchivedConversation.objects.filter(id__in=some).only("record_json")
        kept = {row.metadata.get(PAGE_STORE, "") for row in rows}
        found.stores |= {each for each in kept if ids.is_well_formed(each, ids.VECTOR_STORE)}
    return found


def find_used(named: Named, owner: str, *, timelines: Collection[str], conversations: Collection[str]) -> Named:
    """What of it something else uses: other conversations and chains of this owner, or a prompt."""
    used = Named()
    with limited_time(MAX_LOOK_S):
        if named.files:
            used.files = named.files & {*_list_other_files(owner, {*timelines})}
        for store_id in named.stores:
            if _is_used_elsewhere(store_id, owner, timelines, conversations):
                used.stores.add(store_id)
        contents = "\n".join(map(str, PromptVersion.objects.values_list("content", flat=True).iterator()))
    used.files |= {each for each in named.files if each in contents}
    used.stores |= {each for each in named.stores if each in contents}
    return used


def _list_other_files(owner: str, timelines: Collection[str]) -> Iterator[str]:
    """Items that are in no conversation came as an input: so both have an index by their owner."""
    items = ArchivedItem.objects.filter(conversation__owner=owner, content_json__contains=NAMES_FILE)
    inputs = ArchivedResponse.objects.filter(owner=owner, input_json__contains=NAMES_FILE)
    for timeline, text in items.values_list("timeline", "content_json").iterator(ROWS_A_READ):
        if timeline not in timelines:
            yield from _list_files(f"[{text}]")
    for timeline, text in inputs.values_list("timeline", "input_json").iterator(ROWS_A_READ):
        if timeline not in timelines:
            yield from _list_files(text)


def _is_used_elsewhere(store_id: str, owner: str, timelines: Collection[str], conversations: Collection[str]) -> bool:
    holding = ArchivedConversation.objects.filter(owner=owner, record_json__contains=store_id)
    if any(found not in conversations for found in holding.values_list("id", flat=True).iterator()):
        return True
    # Of a request with many tools these stand in the result alone.
    names = Q(request_json__contains=store_id) | Q(result_json__contains=store_id)
    searching = ArchivedResponse.objects.filter(names, owner=owner)
    return any(found not in timelines for found in searching.values_list("timeline", flat=True).iterator())


def _list_files(items_json: str) -> Iterator[str]:
    try:
        items = _decode_items(items_json)
    except (msgspec.DecodeError, RecursionError):  # of a later release: whatever it may name
        yield from _FILE_ID.findall(items_json)
        return
    for item in items:
        yield from (part.file_id for _, part in list_named(item) if part.file_id)

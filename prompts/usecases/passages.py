"""Use cases on passages: those that a model was given, and the vector stores that a turn is sure to search."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from prompts.answer.hosted_items import show_result
from prompts.domain.ids import find_response_id
from prompts.domain.model_request import ModelRequest
from prompts.domain.passages import Passage, SearchResult
from prompts.domain.responses import ENDED
from prompts.domain.tools import FileSearchChoice
from prompts.errors import NotFound
from prompts.ports.event_log import EventLog
from prompts.ports.responses import ResponseStore
from prompts.ports.vector_stores import VectorStores
from prompts.run.ending import retell
from prompts.run.file_search import find_searched_owner, list_first_searches, list_searches
from prompts.usecases.responses import get_response

_SEARCH = "file_search_call"
_MARK = b'"file_search_call"'


async def list_passages(
    response_id: str, *, owner: str, store: ResponseStore, event_log: EventLog
) -> Sequence[Passage]:
    """What the model was given, in the order of the passages' numbers; of an active response, so far.

    They stay as they were when their files change or go. Raises NotFound, Unavailable.
    """
    stored = await get_response(response_id, owner=owner, store=store)
    if stored.status in ENDED:
        return await store.get_passages(response_id, owner=owner)
    echo = await event_log.get_echo(response_id, owner=owner)
    return (await retell(echo, event_log=event_log)).passages


async def get_response_with_results(
    response_id: str, *, owner: str, store: ResponseStore, event_log: EventLog
) -> bytes:
    """The response as it stands, as JSON; its searches have their results, whether its client asked for them or not.

    Raises NotFound, Unavailable.
    """
    stored = await get_response(response_id, owner=owner, store=store)
    body = msgspec.json.decode(stored.body)
    lacking = [item for item in body["output"] if _lacks_results(item)]
    if not lacking:
        return stored.body
    passages = await list_passages(response_id, owner=owner, store=store, event_log=event_log)
    for item in lacking:
        item["results"] = _list_results(item["id"], passages)
    return msgspec.json.encode(body)


async def show_results(items: Sequence[bytes], *, owner: str, store: ResponseStore) -> Sequence[bytes]:
    """Items of a history, as JSON; searches have their results, where the response that made them is still there.

    Raises Unavailable.
    """
    lacking = {
        place: item
        for place, encoded in enumerate(items)
        if _MARK in encoded and _lacks_results(item := msgspec.json.decode(encoded))
    }
    response_ids = {found for item in lacking.values() if (found := find_response_id(item["id"])) is not None}
    passages = await asyncio.gather(*(_find_passages(each, owner=owner, store=store) for each in response_ids))
    of_response = dict(zip(response_ids, passages, strict=True))
    shown = list(items)
    for place, item in lacking.items():
        given = of_response.get(find_response_id(item["id"]) or "")
        if given is not None:
            shown[place] = msgspec.json.encode({**item, "results": _list_results(item["id"], given)})
    return shown


async def _find_passages(response_id: str, *, owner: str, store: ResponseStore) -> Sequence[Passage] | None:
    try:
        return await store.get_passages(response_id, owner=owner)
    except NotFound:
        return None


def _lacks_results(item: Mapping[str, Any]) -> bool:
    return item["type"] == _SEARCH and item["results"] is None


def _list_results(search_id: str, passages: Sequence[Passage]) -> list[SearchResult]:
    return [show_result(passage) for passage in passages if passage.search_id == search_id]


async def check_searched(request: ModelRequest, *, owner: str, stores: VectorStores) -> None:
    """Refuse a turn that is sure to search where nothing is, before it is admitted. Raises NotFound, Unavailable.

    A search that the model may want, or not, is refused when it is made.
    """
    is_forced = isinstance(request.tool_choice, FileSearchChoice)
    for place, tool in list_searches(request) if is_forced else list_first_searches(request):
        try:
            await stores.use(tool.vector_store_ids, owner=find_searched_owner(request, tool, asking=owner))
        except NotFound as error:
            param = f"tools[{place}].vector_store_ids"
            raise NotFound(error.message, code="vector_store_not_found", param=param) from None

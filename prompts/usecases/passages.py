"""Use cases on passages: those that a model was given, and the vector stores that a turn is sure to search."""

from collections.abc import Sequence

import msgspec

from prompts.answer.hosted_items import show_result
from prompts.domain.model_request import ModelRequest
from prompts.domain.passages import Passage
from prompts.domain.responses import ENDED
from prompts.domain.tools import FileSearchChoice
from prompts.errors import NotFound
from prompts.ports.event_log import EventLog
from prompts.ports.responses import ResponseStore
from prompts.ports.vector_stores import VectorStores
from prompts.run.ending import retell
from prompts.run.file_search import list_first_searches, list_searches
from prompts.usecases.responses import get_response

_SEARCH = "file_search_call"


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
    lacking = [item for item in body["output"] if item["type"] == _SEARCH and item["results"] is None]
    if not lacking:
        return stored.body
    passages = await list_passages(response_id, owner=owner, store=store, event_log=event_log)
    for item in lacking:
        item["results"] = [show_result(passage) for passage in passages if passage.search_id == item["id"]]
    return msgspec.json.encode(body)


async def check_searched(request: ModelRequest, *, owner: str, stores: VectorStores) -> None:
    """Refuse a turn that is sure to search where nothing is, before it is admitted. Raises NotFound, Unavailable.

    A search that the model may want, or not, is refused when it is made.
    """
    is_forced = isinstance(request.tool_choice, FileSearchChoice)
    for place, tool in list_searches(request) if is_forced else list_first_searches(request):
        try:
            await stores.use(tool.vector_store_ids, owner=owner)
        except NotFound as error:
            param = f"tools[{place}].vector_store_ids"
            raise NotFound(error.message, code="vector_store_not_found", param=param) from None

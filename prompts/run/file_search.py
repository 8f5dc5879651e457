"""The search in files as a tool that the service runs: called by the model, or made by itself before it is asked."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from prompts.answer.hosted_items import read_queries
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.passages import Filter, Passage
from prompts.domain.signals import Found, HostedCall
from prompts.domain.text import PlainText
from prompts.domain.tools import (
    AllowedTools,
    FileSearchChoice,
    FileSearchTool,
    FunctionTool,
    RankingOptions,
    ToolChoice,
    build_filter,
)
from prompts.errors import NotFound, Unavailable
from prompts.history.passages import choose_passages, compose_absence, compose_passages, compose_queries
from prompts.ports.hosted_tools import Returned
from prompts.ports.passage_index import Ranking

log = structlog.get_logger(__name__)

encode = msgspec.json.Encoder().encode

# An index answers within a bounded time; this is for one that does not keep its word.
MAX_SEARCH_S = 15.0
# Of one call, and of each of them: models that repeat themselves write without end.
MAX_QUERIES = 8
MAX_QUERY_CHARACTERS = 1_000

NAME = "file_search"
_DESCRIPTION = (
    "Searches the user's files and returns the passages that fit best. Use it before you answer from your own "
    "knowledge whenever the files may say something about the question."
)
_PARAMETERS = {
    "type": "object",
    "properties": {
        "queries": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What to look for: one or a few searches in full words, in the language of the files.",
        }
    },
    "required": ["queries"],
    "additionalProperties": False,
}
_ASKED_FOR_NOTHING = "Nothing was searched: write what to look for as 'queries', a list of strings."


class SearchStores(Protocol):
    """The use case `prompts.usecases.search.search`, with its ports."""

    async def __call__(
        self,
        queries: Sequence[str],
        *,
        store_ids: Sequence[str],
        owner: str,
        where: Filter | None,
        limit: int,
        ranking: Ranking,
    ) -> Sequence[Passage]:
        """The passages that fit any of the queries best, the best first.

        Raises NotFound for a vector store that the owner does not have, Unavailable within a bounded time.
        """


class FileSearch:
    """`HostedTool` for `file_search`. `max_tokens` is the room for the passages of one search, an estimate."""

    kind = "file_search"

    def __init__(self, search: SearchStores, *, max_tokens: int) -> None:
        self._search = search
        self._max_tokens = max_tokens

    def find_function(self, request: ModelRequest) -> FunctionTool | None:
        """See `HostedTool`. Files that are searched by themselves are not offered as well: it was done already."""
        if not request.tools or all(tool.when == "always" for _, tool in list_searches(request)):
            return None
        return FunctionTool(name=_choose_name(request), description=_DESCRIPTION, parameters=_PARAMETERS)

    def find_first_call(self, request: ModelRequest, items: Sequence[Item]) -> HostedCall | None:
        """See `HostedTool`."""
        if not request.tools or not list_first_searches(request):
            return None
        queries = compose_queries(items)
        return HostedCall("first_search", self.kind, "", encode({"queries": queries}).decode()) if queries else None

    async def run(self, call: HostedCall, *, request: ModelRequest, owner: str, given: Sequence[Passage]) -> Returned:
        """See `HostedTool`. Raises NotFound for a vector store that the owner does not have."""
        queries = dict.fromkeys(query[:MAX_QUERY_CHARACTERS].strip() for query in read_queries(call.arguments))
        asked = [query for query in queries if query][:MAX_QUERIES]
        is_shown = request.wants_search_results is True
        if not asked:
            return Returned(_ASKED_FOR_NOTHING, Found(is_shown=is_shown))
        try:
            async with asyncio.timeout(MAX_SEARCH_S):
                found = await self._find(asked, is_first=not call.name, request=request, owner=owner)
        except (Unavailable, TimeoutError) as error:
            log.warning("files_not_searched", reason=type(error).__name__)
            return Returned(compose_absence(), Found(is_failed=True, is_shown=is_shown))
        chosen = choose_passages(found, given=given, max_tokens=self._max_tokens)
        told = compose_passages(chosen, asks_for_markers=isinstance(request.text.format, PlainText))
        return Returned(told, Found([*chosen.passages], chosen.dropped, is_shown=is_shown))

    async def _find(
        self, queries: Sequence[str], *, is_first: bool, request: ModelRequest, owner: str
    ) -> Sequence[Passage]:
        """What all the tools find that are meant, the best first."""
        meant = [(place, tool) for place, tool in list_searches(request) if (tool.when == "always") == is_first]
        found: dict[tuple[str, str, int], Passage] = {}
        for place, tool in meant:
            whose = find_searched_owner(request, tool, asking=owner)
            for passage in await self._search_with(tool, place, queries, owner=whose):
                found.setdefault((passage.vector_store_id, passage.file_id, passage.number), passage)
        limit = max((tool.max_num_results for _, tool in meant), default=0)
        return sorted(found.values(), key=lambda passage: -passage.score)[:limit]

    async def _search_with(
        self, tool: FileSearchTool, place: int, queries: Sequence[str], *, owner: str
    ) -> Sequence[Passage]:
        try:
            return await self._search(
                queries,
                store_ids=tool.vector_store_ids,
                owner=owner,
                where=build_filter(tool.filters),
                limit=tool.max_num_results,
                ranking=_read_ranking(tool.ranking_options),
            )
        except NotFound as error:
            param = f"tools[{place}].vector_store_ids"
            raise NotFound(error.message, code="vector_store_not_found", param=param) from None


def list_searches(request: ModelRequest) -> list[tuple[int, FileSearchTool]]:
    """The searches that a request offers, with their places among its tools."""
    return [(place, tool) for place, tool in enumerate(request.tools) if isinstance(tool, FileSearchTool)]


def find_searched_owner(request: ModelRequest, tool: FileSearchTool, *, asking: str) -> str:
    """Whose vector stores a tool searches: those of whoever asks, unless the turn's template lets it search others'.

    The stores of a template's search are all of one owner.
    """
    granted = request.granted_stores or {}
    owners = {granted.get(store_id, asking) for store_id in tool.vector_store_ids}
    return owners.pop() if len(owners) == 1 else asking


def list_first_searches(request: ModelRequest) -> list[tuple[int, FileSearchTool]]:
    """Those that are made before the model is asked; none where the client's choice leaves them out."""
    searches = list_searches(request) if _may_search(request.tool_choice) else []
    return [(place, tool) for place, tool in searches if tool.when == "always"]


def _may_search(choice: ToolChoice) -> bool:
    match choice:
        case "auto" | "required" | FileSearchChoice():
            return True
        case AllowedTools(tools, mode):
            return mode != "none" and any(isinstance(one, FileSearchChoice) for one in tools)
    return False


def _choose_name(request: ModelRequest) -> str:
    """A name that no tool of the client's has."""
    taken = {getattr(tool, "name", "") for tool in request.tools}
    names = (NAME, "search_files", *(f"search_files_{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _read_ranking(options: RankingOptions) -> Ranking:
    weights = options.hybrid_search
    if not isinstance(weights, msgspec.Struct):
        return Ranking(ranker="none" if options.ranker == "none" else "auto", score_threshold=options.score_threshold)
    text_weight = weights.text_weight / (weights.text_weight + weights.embedding_weight)
    return Ranking(score_threshold=options.score_threshold, text_weight=text_weight)

"""Output items of the tools that the service runs itself, while they run."""

import msgspec

from prompts.answer.open_items import Happenings, OpenItem
from prompts.domain.ids import FILE_SEARCH_CALL
from prompts.domain.items import FileSearchCall, Item, ItemStatus
from prompts.domain.passages import Passage, SearchResult
from prompts.domain.signals import Found, HostedCall
from prompts.domain.waypoints import Outline


class SearchArguments(msgspec.Struct):
    """What the model writes to search."""

    query: str = ""
    queries: list[str] = []


class OpenHosted(OpenItem):
    """A call of a tool that the service runs itself."""

    def __init__(self, response_id: str, output_index: int, call: HostedCall) -> None:
        super().__init__(response_id, output_index)
        self._call = call
        self.found: Found | None = None
        """What it gave, once it has returned."""

    def judge(self, *, is_last: bool) -> ItemStatus:
        """See `OpenItem`. What has returned is closed; what is open has not run to its end."""
        return "incomplete"

    def close_part(self) -> Happenings:
        """See `OpenItem`."""
        yield from ()

    def draw_outline(self) -> Outline | None:
        """See `OpenItem`. It is soon over, and the model says nothing meanwhile."""
        return None


class OpenFileSearch(OpenHosted):
    """A search in files."""

    kind = FILE_SEARCH_CALL

    def build(self, status: ItemStatus) -> Item:
        """See `OpenItem`."""
        return FileSearchCall(
            id=self.id,
            status="failed" if self._has_failed else status,
            queries=read_queries(self._call.arguments),
            results=None if self.found is None else _list_results(self.found),
        )

    def add(self) -> Happenings:
        """See `OpenItem`."""
        yield from super().add()
        yield "response.file_search_call.in_progress", self._place
        yield "response.file_search_call.searching", self._place

    def close(self, status: ItemStatus) -> Happenings:
        """See `OpenItem`."""
        if status == "completed" and not self._has_failed:
            yield "response.file_search_call.completed", self._place
        yield from super().close(status)

    @property
    def _has_failed(self) -> bool:
        return self.found is not None and self.found.is_failed


OPEN_HOSTED: dict[str, type[OpenHosted]] = {"file_search": OpenFileSearch}
"""By the kind of the tool."""


def read_queries(arguments: str) -> list[str]:
    """What the model wants to find: `{"query": "…"}` or `{"queries": ["…"]}`; none when it wrote something else."""
    try:
        asked = msgspec.json.decode(arguments, type=SearchArguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return []
    return [*asked.queries, *([asked.query] if asked.query else [])]


def _list_results(found: Found) -> list[SearchResult] | None:
    """What those are shown who ask for it: what the model was given."""
    return [*map(show_result, found.passages)] if found.is_shown else found.results


def show_result(passage: Passage) -> SearchResult:
    """The passage as the item of its search shows it."""
    return SearchResult(
        passage.file_id,
        passage.filename,
        passage.score,
        passage.text,
        passage.attributes,
        vector_store_id=passage.vector_store_id,
    )

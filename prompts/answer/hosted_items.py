"""Output items of the tools that the service runs itself, while they run."""

import msgspec

from prompts.answer.open_items import Happenings, OpenItem
from prompts.domain.ids import FILE_SEARCH_CALL
from prompts.domain.items import FileSearchCall, Item, ItemStatus
from prompts.domain.signals import HostedCall
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
        return FileSearchCall(id=self.id, status=status, queries=_read_queries(self._call.arguments))

    def add(self) -> Happenings:
        """See `OpenItem`."""
        yield from super().add()
        yield "response.file_search_call.in_progress", self._place
        yield "response.file_search_call.searching", self._place

    def close(self, status: ItemStatus) -> Happenings:
        """See `OpenItem`."""
        if status == "completed":
            yield "response.file_search_call.completed", self._place
        yield from super().close(status)


OPEN_HOSTED: dict[str, type[OpenHosted]] = {"file_search": OpenFileSearch}
"""By the kind of the tool."""


def _read_queries(arguments: str) -> list[str]:
    """What the model wants to find: `{"query": "…"}` or `{"queries": ["…"]}`; none when it wrote something else."""
    try:
        asked = msgspec.json.decode(arguments, type=SearchArguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return []
    return [*asked.queries, *([asked.query] if asked.query else [])]

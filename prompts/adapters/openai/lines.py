"""Server-sent events, cut anywhere, as the data they carry; all protocols of model servers stream this way."""

from codecs import BOM_UTF8
from collections.abc import Iterator

from prompts.errors import UpstreamError

# The longest event we hold in memory; a whole answer in one event is far below.
MAX_EVENT_BYTES = 16 * 1024 * 1024
# The fields of an event that say nothing to us, and comments.
_IGNORED = (b":", b"event:", b"id:", b"retry:")


class EventLines:
    """The lines of one stream, fed with bytes as they arrive."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._is_first_line = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The data of each event that these bytes complete; who stops in the middle never looks at the rest.

        Raises UpstreamError for what is no stream.
        """
        for line in self._complete(data):
            if line.startswith(b"data:"):
                if said := line[5:].strip():
                    yield said
            elif line.strip() and not line.startswith(_IGNORED):
                raise unreadable()

    def _complete(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete; parts of a line are put together once, when its end is there."""
        if b"\n" not in data:
            self._keep(data)
            return []
        first, *lines, rest = data.split(b"\n")
        lines.insert(0, b"".join((*self._rest, first)))
        self._rest, self._rest_bytes = [], 0
        self._keep(rest)
        if self._is_first_line:
            self._is_first_line = False
            lines[0] = lines[0].removeprefix(BOM_UTF8)
        return lines

    def _keep(self, part: bytes) -> None:
        self._rest.append(part)
        self._rest_bytes += len(part)
        if self._rest_bytes > MAX_EVENT_BYTES:
            raise unreadable()


def unreadable() -> UpstreamError:
    """What came is no stream of this protocol."""
    return UpstreamError("The model's server answered with something that is not an answer. Send the input again.")

"""`ReaderMarks` in memory."""

from collections.abc import Sequence

from prompts.ports.reader_marks import Reader
from tests.support.fakes.fates import Fate, meet
from tests.support.fakes.memory import Memory


class FakeReaderMarks:
    """`ReaderMarks` in memory. Each call of `mark` first meets the next of `fates`."""

    def __init__(self, memory: Memory, *, lease_s: float = 600) -> None:
        self.fates: list[Fate] = []
        self._memory = memory
        self._lease_s = lease_s

    async def mark(self, readers: Sequence[Reader]) -> None:
        """See `ReaderMarks.mark`."""
        await meet(self.fates)
        for reader in readers:
            self._memory.mark_reader(reader.response_id, reader.id, self._lease_s)

    async def unmark(self, reader: Reader) -> None:
        """See `ReaderMarks.unmark`."""
        self._memory.readers[reader.response_id].pop(reader.id, None)
        self._memory.nudge(reader.response_id, is_news=True)

    async def has_any(self, response_id: str) -> bool:
        """See `ReaderMarks.has_any`."""
        return bool(self._memory.readers[response_id])

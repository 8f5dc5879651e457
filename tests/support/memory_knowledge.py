"""Files, a reader of documents and a search index in memory, for tests of the indexing by itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from prompts.domain.files import File
from prompts.domain.passages import Attributes, Block, Filter, Passage, Stretch
from prompts.errors import Unavailable, unknown_file
from prompts.knowledge.filters import fits
from prompts.ports.passage_index import DEFAULT_RANKING, Indexed, Ranking
from prompts.ports.text_extractor import UnreadableFile


class MemoryFiles:
    """The parts of `FileStore` and `FileStorage` that indexing uses."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}
        self.marks: set[tuple[str, str]] = set()
        self.deleted: set[str] = set()

    async def get(self, file_id: str, *, owner: str) -> File:
        """See `FileStore.get`."""
        if file_id in self.deleted:
            raise unknown_file(file_id)
        return File(id=file_id, bytes=1, created_at=0, filename="notes.txt", purpose="assistants")

    async def detach(self, file_id: str, vector_store_id: str) -> None:
        """See `FileStore.detach`."""
        self.marks.discard((file_id, vector_store_id))

    async def read(self, file_id: str) -> AsyncIterator[bytes]:
        """See `FileStorage.read`."""
        if file_id not in self.texts:
            raise unknown_file(file_id)
        yield self.texts[file_id]


class LineExtractor:
    """`TextExtractor`: a line is a paragraph. While its gate is shut, it reads nothing."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Semaphore(0)
        self.broken: Exception | None = None

    async def extract(self, content: AsyncIterator[bytes], *, filename: str) -> Sequence[Block]:
        """See `TextExtractor.extract`."""
        text = b"".join([piece async for piece in content]).decode()
        self.begun.release()
        await self.gate.wait()
        if self.broken is not None:
            raise self.broken
        if not text:
            raise UnreadableFile("invalid_file", "The file is empty. Send one with text.")
        return [Block(line) for line in text.splitlines()]


class MemoryIndex:
    """`PassageIndex`: finds every passage that holds a word of the query. While its gate is shut, attributes wait."""

    def __init__(self) -> None:
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.refusal: Exception | None = None
        self.puts = 0
        self.files: dict[tuple[str, str], Indexed] = {}

    def _check(self) -> None:
        if self.is_away:
            raise Unavailable("The search index cannot be reached right now. Try again in a moment.")

    async def prepare(self) -> None:
        """See `PassageIndex.prepare`."""

    async def put(self, vector_store_id: str, indexed: Indexed) -> None:
        """See `PassageIndex.put`."""
        self._check()
        if self.refusal is not None:
            raise self.refusal
        self.puts += 1
        self.files[vector_store_id, indexed.file_id] = indexed

    async def remove_file(self, vector_store_id: str, file_id: str) -> None:
        """See `PassageIndex.remove_file`."""
        self._check()
        self.files.pop((vector_store_id, file_id), None)

    async def remove_store(self, vector_store_id: str) -> None:
        """See `PassageIndex.remove_store`."""
        self._check()
        self.files = {place: found for place, found in self.files.items() if place[0] != vector_store_id}

    async def set_attributes(self, vector_store_id: str, file_id: str, attributes: Attributes) -> None:
        """See `PassageIndex.set_attributes`."""
        self._check()
        await self.gate.wait()
        found = self.files[vector_store_id, file_id]
        self.files[vector_store_id, file_id] = Indexed(
            file_id=file_id, filename=found.filename, attributes=attributes, stretches=found.stretches
        )

    async def search(
        self,
        vector_store_id: str,
        queries: Sequence[str],
        *,
        limit: int,
        where: Filter | None = None,
        ranking: Ranking = DEFAULT_RANKING,
    ) -> Sequence[Passage]:
        """See `PassageIndex.search`."""
        self._check()
        words = {word for query in queries for word in query.split()}
        found = [
            Passage(
                vector_store_id=vector_store_id,
                file_id=file_id,
                filename=indexed.filename,
                number=stretch.number,
                text=stretch.text,
                score=len(words & set(stretch.text.split())) / len(words),
                attributes=indexed.attributes,
            )
            for (store_id, file_id), indexed in self.files.items()
            for stretch in indexed.stretches
            if store_id == vector_store_id and words & set(stretch.text.split()) and fits(indexed.attributes, where)
        ]
        return sorted(found, key=lambda passage: -passage.score)[:limit]

    async def list_stretches(
        self, vector_store_id: str, file_id: str, *, first: int = 0, count: int | None = None
    ) -> Sequence[Stretch]:
        """See `PassageIndex.list_stretches`."""
        indexed = self.files.get((vector_store_id, file_id))
        return indexed.stretches[first : None if count is None else first + count] if indexed else []

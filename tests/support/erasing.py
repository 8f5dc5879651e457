"""All stores of a service without the service, for tests of erasures; and a look for words in every one of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.core.files.storage import storages
from django.db import connection
from redis.asyncio import Redis

from config.files import compose_storage
from prompts.adapters.extraction.extractor import DocumentExtractor
from prompts.adapters.redis.compactions import RedisCompactions
from prompts.adapters.redis.conversation_store import RedisConversationStore
from prompts.adapters.redis.families import RedisFamilies
from prompts.adapters.redis.file_store import RedisFileStore
from prompts.adapters.redis.outbox import RedisOutbox
from prompts.adapters.redis.owner_traces import RedisOwnerTraces
from prompts.adapters.redis.restoring import RedisRestoring
from prompts.adapters.redis.vector_stores import RedisVectorStores
from prompts.adapters.storage.file_storage import DjangoFileStorage
from prompts.archive.erasure_receipts import ReceiptWriter
from prompts.archive.history_erasing import erase_history
from prompts.archive.knowledge_erasing import ErasurePorts
from prompts.archive.named_knowledge import PAGE_STORE
from prompts.archive.restorer import ArchiveRestorer
from prompts.domain import ids
from prompts.domain.anchors import AfterResponse
from prompts.domain.files import File
from prompts.domain.items import Compaction, InputFile, InputText, Message, Part
from prompts.domain.responses import CompactedHistory
from prompts.domain.usage import Usage
from prompts.domain.vector_stores import AutoChunking, VectorStore
from prompts.models import ErasureReceipt
from prompts.ports.passage_index import PassageIndex
from prompts.ports.responses import Claim
from prompts.ports.vector_stores import NewFile
from prompts.run.sweeping import erase_due
from prompts.run.unindexing import Unindexer
from prompts.usecases.files import FilePorts
from tests.contract.port_turns import fork, take_turn
from tests.integration.test_api_keys import read_everything
from tests.support.archive import archive_all, end_retention, read
from tests.support.builders import RETENTION_S, Stores, build_draft, build_item, open_stores, replace_input
from tests.support.knowledge import a_file, open_sqlite_index

MAX_SPOOLED_BYTES = 1024 * 1024


@dataclass
class World:
    """The stores of one replica. What is made here says `word` wherever it says anything."""

    redis: Redis
    url: str
    stores: Stores
    ports: ErasurePorts
    files: RedisFileStore
    vector_stores: RedisVectorStores
    folder: Path
    owner: str = "alice"

    async def upload(self, text: str) -> str:
        """A file with this text, and a name that has it."""
        file_id = ids.new_id(ids.FILE, ids.find_partition(self.owner))
        await self.files.expect(file_id, owner=self.owner)
        size = await self.ports.files.storage.write(file_id, _give(text.encode()))
        file = File(id=file_id, bytes=size, created_at=1, filename=f"{text}.md", purpose="assistants")
        await self.files.add(file, owner=self.owner)
        return file_id

    async def make_store(self, name: str) -> str:
        """A vector store without files."""
        store_id = ids.new_id(ids.VECTOR_STORE, ids.find_partition(self.owner))
        store = VectorStore(
            id=store_id, created_at=1, name=name, status="completed", expires_after=None, metadata={"of": name}
        )
        await self.vector_stores.create(store, owner=self.owner)
        return store_id

    async def put(self, store_id: str, file_id: str, text: str) -> None:
        """Put a file into a vector store, and into the index."""
        await self.files.attach(file_id, store_id, owner=self.owner)
        file = NewFile(file_id=file_id, filename=f"{text}.md", attributes={"of": text}, chunking=AutoChunking())
        await self.vector_stores.attach(store_id, [file], owner=self.owner)
        indexing = await self.vector_stores.seize_indexing(ids.get_partition(store_id), lease_s=0.1)
        assert indexing is not None
        await self.ports.index.put(store_id, a_file(file_id, text, filename=f"{text}.md"))
        await self.vector_stores.end_indexing(indexing, usage_bytes=len(text))

    async def make_conversation(self, word: str, *said: Message, store_id: str = "") -> str:
        """A conversation with a title, metadata, and these items."""
        conversation_id = ids.new_id(ids.CONVERSATION, ids.new_partition())
        metadata = {"of": word, **({PAGE_STORE: store_id} if store_id else {})}
        await self.stores.conversations.create(
            conversation_id, owner=self.owner, metadata=metadata, items=list(said), title=word
        )
        return conversation_id

    async def turn(self, word: str, *, file_id: str | None = None, **anchor: Any) -> str:
        """A whole turn with a retry key; its input may name a file."""
        draft = build_draft(word, claim=Claim(idempotency_key=word, body_hash="hash"), **anchor)
        said = name_file(draft.input[0].id or "", word, file_id)
        draft = replace_input(draft, [said])
        return await take_turn(self.stores, draft)

    async def make_everything(self, word: str) -> "Everything":
        """A conversation with one of everything, archived."""
        named, kept = await self.upload(word), await self.upload(word)
        store_id = await self.make_store(word)
        await self.put(store_id, kept, word)
        conversation_id = await self.make_conversation(word, store_id=store_id)
        response_id = await self.turn(word, file_id=named, conversation_id=conversation_id)
        await self.stores.notes.put_feedback(response_id, owner=self.owner, score=1, comment=word)
        fork_id = await fork(self.stores, conversation_id)
        await self.turn(word, conversation_id=fork_id)
        chained = await self.turn(word, previous_response_id=response_id)
        compacted = await self.compact(word, response_id)
        later = await self.turn(word, previous_response_id=compacted)
        await archive_all(self.redis)
        responses = [response_id, chained, compacted, later]
        return Everything(conversation_id, fork_id, responses, [named, kept], store_id)

    async def compact(self, word: str, response_id: str) -> str:
        """A compaction of a response's history: a chain of its own. Returns its id."""
        partition = ids.get_partition(response_id)
        said = build_item(word, partition)
        compaction = Compaction(ids.new_id(ids.COMPACTION, partition), f"sealed {word}")
        compacted = CompactedHistory(
            id=ids.new_id(ids.RESPONSE, partition), created_at=1, output=[said, compaction], usage=Usage(1, 2, 3)
        )
        claim = Claim(body_hash="hash", idempotency_key=f"compact {word}")
        compactions = RedisCompactions(self.redis, retention_s=RETENTION_S)
        await compactions.keep(compacted, [said], claim, owner=self.owner, anchor=AfterResponse(response_id))
        return compacted.id

    async def erase(
        self, history_id: str, *, ports: ErasurePorts | None = None, with_files: bool = True, copied_s: float = 5.0
    ) -> ErasureReceipt:
        """Erase it as staff do. The receipt as it is written. With a `copied_s` the archive is up to date before."""
        if copied_s:
            await archive_all(self.redis)
        kind = "conversation" if ids.is_of_kind(history_id, ids.CONVERSATION) else "chain"
        receipt = ReceiptWriter(self.owner, by="oscar", reason="asked", subject=(kind, history_id))
        await erase_history(
            history_id,
            owner=self.owner,
            ports=ports or self.ports,
            receipt=receipt,
            with_files=with_files,
            copied_s=copied_s,
        )
        return await read(lambda: ErasureReceipt.objects.get(pk=receipt.row.pk))

    async def let_go(self) -> None:
        """End the retention of everything: it is in the archive only."""
        await archive_all(self.redis)
        await end_retention(self.redis)
        for _ in range(2):
            await erase_due(self.stores.eraser)
            await archive_all(self.redis)

    async def find(self, *words: str) -> list[str]:
        """Where any of these words is: in which keys of Redis, tables of SQL and files, the index's included."""
        redis = (await read_everything(self.url)).decode()
        tables = await read(lambda: dict(_read_tables()))
        held = [f"Redis: {word}" for word in words if word in redis]
        held += [f"SQL: {name}: {word}" for name, rows in tables.items() for word in words if word in rows]
        database = Path(str(connection.settings_dict["NAME"]))
        beside = database.parent.glob(f"{database.name}*") if connection.vendor == "sqlite" else ()
        for path in [*self.folder.rglob("*"), *beside]:
            if path.is_file():
                content = path.read_bytes()
                held += [f"{path}: {word}" for word in words if word.encode() in content or word in path.name]
        return held


@dataclass(frozen=True)
class Everything:
    """The ids of what was made."""

    conversation: str
    fork: str
    responses: list[str]
    files: list[str]
    store: str

    @property
    def ids(self) -> list[str]:
        """All of them."""
        return [self.conversation, self.fork, *self.responses, *self.files, self.store]


def name_file(item_id: str, text: str, file_id: str | None) -> Message:
    """A user's message that names a file, and keeps what it held for the model, as the service does."""
    if file_id is None:
        return Message(id=item_id, status="completed", role="user", content=[InputText(text)])
    content: list[Part] = [InputText(text), InputFile(file_id=file_id)]
    kept = [f'{{"type":"input_file","filename":"{text}.md","file_data":"{text}"}}']
    return Message(id=item_id, status="completed", role="user", content=content, kept=kept)


def say(conversation_partition: str, text: str, file_id: str | None = None) -> Message:
    """A user's message for a new conversation."""
    return name_file(build_item(text, conversation_partition).id or "", text, file_id)


@asynccontextmanager
async def open_world(redis: Redis, url: str, folder: Path, index: PassageIndex | None = None) -> AsyncIterator[World]:
    """On this Redis, and whatever database Django uses; `folder` has the files and the embedded index."""
    with ExitStack() as stack:
        restorer = ArchiveRestorer(RedisRestoring(redis, retention_s=RETENTION_S), retention_s=0)
        stack.callback(restorer.close)
        conversations = RedisConversationStore(redis, retention_s=RETENTION_S, restorer=restorer)
        stores = replace(open_stores(redis), conversations=conversations)
        storage = _open_storage(folder / "files")
        stack.callback(storage.close)
        files = RedisFileStore(redis, max_owner_bytes=0)
        vector_stores = RedisVectorStores(redis, index_name="sqlite")
        async with open_sqlite_index(folder / "knowledge.sqlite3") as embedded:
            index = index or embedded
            ports = ErasurePorts(
                families=RedisFamilies(redis),
                eraser=stores.eraser,
                outbox=RedisOutbox(redis),
                traces=RedisOwnerTraces(redis),
                files=_build_file_ports(files, storage, vector_stores),
                vector_stores=vector_stores,
                index=index,
                unindexer=Unindexer(stores=vector_stores, files=files, index=index),
            )
            yield World(redis, url, stores, ports, files, vector_stores, folder)


def _open_storage(folder: Path) -> DjangoFileStorage:
    composed = compose_storage(folder=folder, bucket=None, endpoint_url=None, region=None, key=None, secret=None)
    return DjangoFileStorage(
        storages.create_storage(composed), spool=folder / ".incoming", max_spooled_bytes=MAX_SPOOLED_BYTES
    )


def _build_file_ports(files: RedisFileStore, storage: DjangoFileStorage, vector_stores: RedisVectorStores) -> FilePorts:
    async def detach(vector_store_id: str, file_id: str) -> None:
        await vector_stores.detach(vector_store_id, file_id, owner=None)

    return FilePorts(
        store=files,
        storage=storage,
        extractor=DocumentExtractor(Path("unused")),
        detach=detach,
        max_file_bytes=MAX_SPOOLED_BYTES,
    )


def _read_tables() -> Iterator[tuple[str, str]]:
    """All rows of each table, those of an index of words included."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        else:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (name,) in cursor.fetchall():
            cursor.execute(f'SELECT * FROM "{name}"')
            yield name, repr(cursor.fetchall())


async def _give(content: bytes) -> AsyncIterator[bytes]:
    await asyncio.sleep(0)
    yield content

"""All that holds something of an owner, opened for `manage.py erase_owner`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from django.conf import settings
from redis.asyncio import Redis

from config.connections import open_files, open_openai, open_redis, open_weaviate
from config.files import MB
from config.knowledge import name_passage_index, open_passage_index
from prompts.adapters.extraction.extractor import DocumentExtractor
from prompts.adapters.redis.api_keys import RedisApiKeys
from prompts.adapters.redis.eraser import RedisEraser
from prompts.adapters.redis.families import RedisFamilies
from prompts.adapters.redis.file_store import RedisFileStore
from prompts.adapters.redis.origins import RedisOrigins
from prompts.adapters.redis.outbox import RedisOutbox
from prompts.adapters.redis.owner_traces import RedisOwnerTraces
from prompts.adapters.redis.project_limits import RedisProjectLimits
from prompts.adapters.redis.published_prompts import RedisPublishedPrompts
from prompts.adapters.redis.user_proofs import RedisUserProofs
from prompts.adapters.redis.vector_stores import RedisVectorStores
from prompts.adapters.sql.prompt_store import SqlPrompts
from prompts.archive.owner_erasing import OwnerPorts
from prompts.ports.files import FileStorage
from prompts.ports.passage_index import PassageIndex
from prompts.run.unindexing import Unindexer
from prompts.usecases.files import FilePorts
from prompts.usecases.prompts import PromptPorts


@asynccontextmanager
async def open_owner_ports() -> AsyncIterator[OwnerPorts]:
    """Nothing is connected to before it is used."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis())
        weaviate = await stack.enter_async_context(open_weaviate())
        openai = await stack.enter_async_context(open_openai())
        storage = stack.enter_context(open_files())
        index = await stack.enter_async_context(open_passage_index(redis, openai, weaviate))
        sql_prompts = SqlPrompts()
        stack.callback(sql_prompts.close)
        yield _build_ports(redis, storage, index, sql_prompts)


def _build_ports(redis: Redis, storage: FileStorage, index: PassageIndex, sql_prompts: SqlPrompts) -> OwnerPorts:
    stores = RedisVectorStores(redis, index_name=name_passage_index())
    files = RedisFileStore(redis, max_owner_bytes=settings.MAX_OWNER_FILES_MB * MB)

    async def detach(vector_store_id: str, file_id: str) -> None:
        await stores.detach(vector_store_id, file_id, owner=None)

    return OwnerPorts(
        families=RedisFamilies(redis),
        eraser=RedisEraser(redis),
        outbox=RedisOutbox(redis),
        traces=RedisOwnerTraces(redis),
        files=FilePorts(
            store=files,
            storage=storage,
            extractor=DocumentExtractor(settings.FILES_DIR / ".reading"),
            detach=detach,
            max_file_bytes=settings.MAX_FILE_MB * MB,
        ),
        vector_stores=stores,
        index=index,
        unindexer=Unindexer(stores=stores, files=files, index=index),
        prompts=PromptPorts(sql_prompts, RedisPublishedPrompts(redis)),
        api_keys=RedisApiKeys(redis),
        origins=RedisOrigins(redis),
        limits=RedisProjectLimits(redis),
        proofs=RedisUserProofs(redis),
    )

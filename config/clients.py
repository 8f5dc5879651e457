"""Opens Redis, Weaviate, the model's client and the runner once a process, and closes them in reverse order.

Composes the ports and their adapters on the connections of config/connections.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import structlog
from django.conf import settings
from openai import AsyncOpenAI
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from config.connections import build_checks, build_retention, open_files, open_openai, open_redis, open_weaviate
from config.files import MB
from config.knowledge import keep_prepared, name_passage_index, open_passage_index
from config.metrics import HttpMetrics, ProcessSampler
from config.recycling import Wear, WearLimits
from config.request_body import BodyRoom
from config.tracing import open_tracing
from health.metrics import ProbeMetrics
from health.probes import Readiness
from prompts.adapters.extraction.extractor import DocumentExtractor
from prompts.adapters.measured_model import MeasuredModel
from prompts.adapters.metrics.observer import PrometheusObserver
from prompts.adapters.openai.chat_model import OpenAIChatModel
from prompts.adapters.openai.model import OpenAIModel
from prompts.adapters.openai.quirks import ModelQuirks, ReasoningReplay, SystemMessages
from prompts.adapters.openai.relay import OpenAIRelay
from prompts.adapters.openai.responses_model import OpenAIResponsesModel
from prompts.adapters.openai.streams import Patience
from prompts.adapters.openai.think_tags import read_tagged_models
from prompts.adapters.redis.api_keys import RedisApiKeys
from prompts.adapters.redis.calibration import RedisCalibration
from prompts.adapters.redis.compactions import RedisCompactions
from prompts.adapters.redis.conversation_store import RedisConversationStore
from prompts.adapters.redis.eraser import RedisEraser
from prompts.adapters.redis.event_log import RedisEventLog
from prompts.adapters.redis.families import RedisFamilies
from prompts.adapters.redis.file_store import RedisFileStore
from prompts.adapters.redis.histories import RedisHistories
from prompts.adapters.redis.nudges import Nudges
from prompts.adapters.redis.origins import RedisOrigins
from prompts.adapters.redis.outbox import RedisOutbox
from prompts.adapters.redis.owner_traces import RedisOwnerTraces
from prompts.adapters.redis.project_limits import RedisProjectLimits
from prompts.adapters.redis.published_prompts import RedisPublishedPrompts
from prompts.adapters.redis.quotas import RedisQuotas
from prompts.adapters.redis.reader_marks import RedisReaderMarks
from prompts.adapters.redis.response_notes import RedisResponseNotes
from prompts.adapters.redis.response_store import RedisResponseStore, Retention
from prompts.adapters.redis.restoring import RedisRestoring
from prompts.adapters.redis.storage_gauge import RedisGauge
from prompts.adapters.redis.token_meter import RedisTokenMeter
from prompts.adapters.redis.user_proofs import RedisUserProofs
from prompts.adapters.redis.vector_stores import RedisVectorStores
from prompts.adapters.remembered_keys import RememberedApiKeys
from prompts.adapters.sealing import AesGcmSealer
from prompts.adapters.sql.past_conversations import SqlPastConversations
from prompts.adapters.sql.prompt_store import SqlPrompts
from prompts.adapters.sql.said_search import SqlSaidSearch
from prompts.adapters.storage.file_storage import DjangoFileStorage
from prompts.api.state import State
from prompts.api.wire.unknown import ReadingRules
from prompts.archive.archiver import Archiver
from prompts.archive.knowledge_erasing import ErasurePorts
from prompts.archive.restorer import ArchiveRestorer
from prompts.consumers.sockets import SocketLimits, Sockets
from prompts.domain import ids
from prompts.domain.media_hosts import read_media_hosts
from prompts.ports.chat_model import ChatModel
from prompts.ports.observer import Observer
from prompts.ports.passage_index import PassageIndex
from prompts.ports.past_conversations import NothingPast, PastConversations
from prompts.ports.relay import RelayPath
from prompts.ports.restoring import NO_RESTORER, Restorer
from prompts.ports.said_search import NothingSaid, SaidSearch
from prompts.ports.token_meter import TokenLimits
from prompts.ports.tracing import UNTRACED, Tracing
from prompts.publishing.api_keys import keep_used, reconcile
from prompts.publishing.limits import reconcile_limits
from prompts.publishing.origins import reconcile_origins
from prompts.publishing.reconciling import keep_reconciled
from prompts.publishing.users import reconcile_users
from prompts.run.breaker import Breaker
from prompts.run.chores import cancel_until_done
from prompts.run.erasing_files import keep_files_erased, keep_tidied
from prompts.run.file_search import FileSearch
from prompts.run.followers import Followers, Pace
from prompts.run.guarded_model import GuardedModel
from prompts.run.guarded_relay import GuardedRelay
from prompts.run.indexing import Indexer, IndexingPorts
from prompts.run.publishing_prompts import reconcile as reconcile_prompts
from prompts.run.run import RENEWALS_A_LEASE
from prompts.run.runner import Limits, Runner
from prompts.run.sweeping import keep_swept
from prompts.run.takeover import MAX_ATTEMPTS
from prompts.run.unindexing import Unindexer
from prompts.usecases.ask import Defaults
from prompts.usecases.compaction import HistoryPorts
from prompts.usecases.files import FilePorts
from prompts.usecases.follow_ups import FollowUps
from prompts.usecases.prompts import PromptPorts
from prompts.usecases.relay import RelayPorts
from prompts.usecases.remembered import HistoryLimits, MemoryRoom
from prompts.usecases.search import SearchPorts, search
from prompts.usecases.turns import TurnPorts
from prompts.usecases.vector_stores import VectorStorePorts

if TYPE_CHECKING:
    from config.http_tracing import HttpTracing
    from config.traced_clients import TracedClients
    from prompts.adapters.weaviate.connection import WeaviateConnection

# What a process does beside serving, for as long as it lives.
Chore = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)

# By the protocol that the model's server speaks.
MODELS: dict[str, type[OpenAIModel]] = {"chat_completions": OpenAIChatModel, "responses": OpenAIResponsesModel}
# Before a chore that failed unexpectedly begins again: soon, and not in a tight loop.
RESTART_S = 1.0
# A chore that goes on when it was cancelled is cancelled again; one lets go of what it holds before, in two seconds.
CANCEL_AGAIN_S = 5.0
# The socket outlasts the last answer by this.
LINGER_S = 2.0


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Files, vector stores, and the work on them."""

    files: FilePorts
    vector_stores: VectorStorePorts
    indexer: Indexer
    unindexer: Unindexer


@dataclass(frozen=True, slots=True)
class Clients:
    """What one process has open; `lifespan.Drainable`."""

    prompts: State
    knowledge: Knowledge
    readiness: Readiness
    http_metrics: HttpMetrics
    http_tracing: "HttpTracing | None"
    wear: Wear
    sockets: Sockets
    bodies: BodyRoom

    def state(self) -> dict[str, object]:
        """The entries of `scope["state"]`."""
        telemetry = {"http_metrics": self.http_metrics, "http_tracing": self.http_tracing}
        served = {"prompts": self.prompts, "sockets": self.sockets, "bodies": self.bodies}
        return {**served, "readiness": self.readiness, "wear": self.wear, **telemetry}

    async def wait_until_worn(self) -> None:
        """See `Drainable.wait_until_worn`."""
        await self.wear.wait_until_worn()

    async def wind_down(self) -> None:
        """Until nobody is served any more, for DRAIN_S at most; answers that run on are handed over by the drain."""
        turns = self.prompts.turns
        self.sockets.start_draining()
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.DRAIN_S):
                await turns.followers.wait_until_left()
                await self.sockets.wait_until_left()
        await asyncio.sleep(min(LINGER_S, settings.DRAIN_S))

    async def drain(self) -> None:
        """Not ready any more, no new runs; what runs may come to its end here or elsewhere, and be followed so long."""
        self.readiness.start_draining()
        self.knowledge.indexer.start_draining()
        self.sockets.start_draining()
        self.prompts.turns.followers.start_draining()
        await self.prompts.turns.runner.drain(settings.DRAIN_S)
        await self.prompts.turns.followers.drain(settings.DRAIN_S)
        # Whoever has just read its answer may be sending its next request on the same connection, and Kubernetes may
        # not have told everybody yet: they are told to go elsewhere, instead of finding a closed door.
        await asyncio.sleep(min(LINGER_S, settings.DRAIN_S))


@asynccontextmanager
async def open_clients(bodies: BodyRoom) -> AsyncIterator[Clients]:
    """Everything a process serves with; `bodies` is the room for what clients send."""
    async with AsyncExitStack() as stack:
        replica_id = ids.new_id(ids.REPLICA, ids.new_partition())
        registry = CollectorRegistry()
        observer = PrometheusObserver(registry, models=[settings.DEFAULT_MODEL])
        traced = await stack.enter_async_context(open_tracing(replica_id))
        redis = await stack.enter_async_context(open_redis(traced))
        weaviate = await stack.enter_async_context(open_weaviate(observer))
        openai = await stack.enter_async_context(open_openai(traced))
        storage = stack.enter_context(open_files())
        passages = await stack.enter_async_context(open_passage_index(redis, openai, weaviate, observer))
        knowledge = _build_knowledge(redis, storage, passages, observer)
        gauge = RedisGauge(redis)
        quotas = RedisQuotas(redis, max_bytes=settings.MAX_OWNER_BYTES, get_room=lambda: gauge.max_bytes)
        calibration = RedisCalibration(redis)
        breaker = Breaker("model", max_failures=settings.MODEL_BREAKER_FAILURES, observer=observer)
        models_server = _build_models_server(openai)
        model = _guard_model(models_server, breaker, observer, traced)
        relay = GuardedRelay(OpenAIRelay(openai, _build_patience(), models_server.models), breaker)
        tracing = UNTRACED if traced is None else traced.runs
        sql_prompts, said = SqlPrompts(), SqlSaidSearch()
        kept_s = settings.CONVERSATION_RETENTION_S
        past = SqlPastConversations(retention_s=kept_s)
        restorer = ArchiveRestorer(RedisRestoring(redis, retention_s=kept_s), retention_s=kept_s)
        state, nudges = _build_state(
            replica_id,
            redis=redis,
            sql_prompts=sql_prompts,
            said=said if settings.ARCHIVE else NothingSaid(),
            past=past if settings.ARCHIVE else NothingPast(),
            restorer=restorer if settings.ARCHIVE else NO_RESTORER,
            model=model,
            relay=relay,
            knowledge=knowledge,
            gauge=gauge,
            quotas=quotas,
            calibration=calibration,
            observer=observer,
            tracing=tracing,
        )
        turns = state.turns
        archiver = Archiver(RedisOutbox(redis), observer=observer, count_runs=turns.runner.count)
        stack.callback(observer.tally.flush)
        stack.callback(sql_prompts.close)
        stack.callback(archiver.close)
        stack.callback(said.close)
        stack.callback(past.close)
        stack.callback(restorer.close)
        stack.push_async_callback(nudges.close)
        stack.push_async_callback(turns.runner.close)
        sweeping = partial(
            keep_swept,
            store=turns.store,
            event_log=turns.event_log,
            eraser=state.eraser,
            runner=turns.runner,
            wait_lost=nudges.wait_lost,
        )
        chores: dict[str, Chore] = {
            "reconcile": partial(keep_reconciled, _list_reconciles(state)),
            "listen": partial(nudges.listen, turns.runner.let_go),
            "gauge": gauge.keep_looking,
            "quotas": quotas.keep_looking,
            "calibrate": calibration.keep_agreed,
            "sweep": sweeping,
            "files": partial(keep_files_erased, store=state.files.store, storage=storage, detach=state.files.detach),
            "tidy": partial(keep_tidied, storage),
            "indexing": knowledge.indexer.keep_indexing,
            "unindexing": knowledge.unindexer.keep_erased,
            "archive": archiver.keep_copied if settings.ARCHIVE else archiver.keep_closed,
            "retention": build_retention(redis).keep_applied,
            "shares": partial(
                turns.runner.shares.keep_told, state.api_keys.tell_running, settings.LEASE_S / RENEWALS_A_LEASE
            ),
            "mark": partial(turns.followers.keep_marked, settings.LEASE_S / RENEWALS_A_LEASE),
            "index": partial(keep_prepared, passages),
            "sample": ProcessSampler(registry, redis.connection_pool).keep_sampling,
        }
        for name, chore in chores.items():
            await stack.enter_async_context(_in_background(name, chore))
        readiness = _build_readiness(redis, weaviate, gauge, registry)
        readiness.mark_started()
        wear = Wear(WearLimits(max_requests=settings.MAX_REQUESTS, max_mb=settings.MAX_WORKER_MB))
        yield Clients(
            prompts=state,
            knowledge=knowledge,
            readiness=readiness,
            wear=wear,
            sockets=_build_sockets(bodies, observer, wear),
            bodies=bodies,
            http_metrics=HttpMetrics(registry, observer.tally),
            http_tracing=traced.http if traced is not None else None,
        )


def _list_reconciles(state: State) -> dict[str, Chore]:
    return {
        "api_keys": partial(reconcile, state.api_keys),
        "used_keys": partial(keep_used, state.api_keys),
        "origins": partial(reconcile_origins, state.origins),
        "limits": partial(reconcile_limits, state.project_limits),
        "users": partial(reconcile_users, state.user_proofs),
        "prompts": partial(reconcile_prompts, state.prompts.store, state.prompts.published),
    }


def _build_sockets(bodies: BodyRoom, observer: Observer, wear: Wear) -> Sockets:
    limits = SocketLimits(
        is_on=settings.WEBSOCKETS,
        max_sockets=settings.MAX_SOCKETS,
        max_owner_sockets=settings.MAX_OWNER_SOCKETS,
        max_age_s=settings.MAX_SOCKET_S,
        memory=HistoryLimits(settings.HISTORY_TOKENS, settings.HISTORY_BYTES),
        max_owner_bytes=settings.MAX_BODIES_MB * MB * 3 // 4,  # a quarter is left to others; a message has 10 MB
    )
    memory = MemoryRoom(settings.MAX_REMEMBERED_MB * MB)
    return Sockets(limits, memory=memory, bodies=bodies, observer=observer, count_turn=wear.note_request)


def _build_readiness(
    redis: Redis, weaviate: "WeaviateConnection | None", gauge: RedisGauge, registry: CollectorRegistry
) -> Readiness:
    async def check_storage() -> None:
        gauge.check()

    checks = {**build_checks(redis, weaviate), "storage": check_storage}
    # A replica that refuses every new run is not ready, whatever is asked of it.
    required = [*settings.READYZ_REQUIRED, "storage"]
    metrics = ProbeMetrics(registry, checks=checks)
    return Readiness(checks, required=required, timeout_s=settings.READYZ_TIMEOUT_S, record=metrics.record)


def _build_patience() -> Patience:
    return Patience(settings.MODEL_CONNECT_S, settings.MODEL_FIRST_TOKEN_S, settings.MODEL_SILENCE_S)


def _build_models_server(openai: AsyncOpenAI) -> OpenAIModel:
    return MODELS[settings.MODEL_PROTOCOL](openai, _build_patience(), build_quirks())


def _guard_model(
    model: OpenAIModel, breaker: Breaker, observer: Observer, traced: "TracedClients | None"
) -> GuardedModel:
    measured: ChatModel = MeasuredModel(model, observer)
    if traced is not None:
        measured = traced.trace_model(measured, base_url=settings.OPENAI_BASE_URL)
    return GuardedModel(measured, breaker)


def _build_state(
    replica_id: str,
    *,
    redis: Redis,
    sql_prompts: SqlPrompts,
    said: SaidSearch,
    past: PastConversations,
    restorer: Restorer,
    model: GuardedModel,
    relay: GuardedRelay,
    knowledge: Knowledge,
    gauge: RedisGauge,
    quotas: RedisQuotas,
    calibration: RedisCalibration,
    observer: Observer,
    tracing: Tracing,
) -> tuple[State, Nudges]:
    limits = Limits(
        max_runs=settings.MAX_RUNS,
        max_run_s=settings.MAX_RUN_S,
        lease_s=settings.LEASE_S,
        max_answer_bytes=settings.MAX_ANSWER_BYTES,
        owner_runs=settings.MAX_OWNER_RUNS,
        owner_runs_in_all=settings.MAX_OWNER_RUNS_IN_ALL,
    )
    retention = Retention(log_s=settings.EVENT_LOG_RETENTION_S, history_s=settings.CONVERSATION_RETENTION_S)
    responses = RedisResponseStore(
        redis, replica_id=replica_id, retention=retention, history_bytes=settings.HISTORY_BYTES, restorer=restorer
    )
    nudges = Nudges(redis, replica_id)
    sealer = AesGcmSealer(settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS)
    searched = SearchPorts(knowledge.vector_stores.index, knowledge.vector_stores.stores)
    token_limits = TokenLimits(settings.TOKENS_PER_MINUTE, settings.TOKENS_PER_MONTH)
    runner = Runner(
        store=responses,
        model=model,
        sealer=sealer,
        calibration=calibration,
        limits=limits,
        release=nudges.release,
        check_storage=gauge.check,
        observer=observer,
        tracing=tracing,
        hosted_tools=[FileSearch(partial(search, ports=searched), max_tokens=settings.PASSAGE_TOKENS)],
        meter=RedisTokenMeter(
            redis,
            # As long as an answer may take that loses its replica as often as it may.
            hold_s=(MAX_ATTEMPTS + 1) * (limits.max_run_s + limits.lease_s),
            limits=token_limits,
        ),
    )
    conversations = RedisConversationStore(redis, retention_s=retention.history_s, restorer=restorer)
    published_prompts = RedisPublishedPrompts(redis)
    turns = TurnPorts(
        store=responses,
        event_log=RedisEventLog(redis, nudges),
        conversations=conversations,
        model=model,
        calibration=calibration,
        runner=runner,
        followers=Followers(
            Pace(keep_alive_s=settings.KEEP_ALIVE_S),
            observer=observer,
            marks=RedisReaderMarks(redis, lease_s=limits.lease_s),
        ),
        defaults=Defaults(model=settings.DEFAULT_MODEL, history_tokens=settings.HISTORY_TOKENS),
        files=knowledge.files,
        tracing=tracing,
        quotas=quotas,
        vector_stores=knowledge.vector_stores.stores,
        prompts=published_prompts,
    )
    histories = HistoryPorts(
        turns=turns,
        histories=RedisHistories(redis, restorer=restorer),
        compactions=RedisCompactions(redis, retention_s=retention.history_s),
        sealer=sealer,
    )
    notes = RedisResponseNotes(redis, history_bytes=settings.HISTORY_BYTES, restorer=restorer)
    follow_ups = FollowUps(
        notes=notes,
        model=model,
        sealer=sealer,
        history_tokens=settings.HISTORY_TOKENS,
        attend=partial(runner.attend, is_kept=False),
        meter=runner.meter,
        keep=runner.keep,
        calibration=calibration,
    )
    runner.after_commit = follow_ups.make_after
    state = State(
        turns=turns,
        histories=histories,
        conversations=conversations,
        past=past,
        said=said,
        eraser=RedisEraser(redis),
        notes=notes,
        follow_ups=follow_ups,
        api_keys=RememberedApiKeys(
            RedisApiKeys(
                redis,
                requests_per_minute=settings.REQUESTS_PER_MINUTE,
                token_limits=token_limits,
                replica_id=replica_id,
                lease_s=limits.lease_s,
                sealer=sealer,
            ),
            owner_places_in_all=settings.MAX_OWNER_RUNS_IN_ALL,
        ),
        user_proofs=RedisUserProofs(redis),
        origins=RedisOrigins(redis),
        project_limits=RedisProjectLimits(redis),
        sealer=sealer,
        observer=observer,
        reading=ReadingRules(
            is_strict=settings.STRICT_REQUESTS,
            option_names=frozenset(settings.MODEL_OPTION_NAMES),
            media_hosts=read_media_hosts(settings.MEDIA_HOSTS),
        ),
        relay=RelayPorts(relay, model, runner, default_models=_default_models()),
        files=knowledge.files,
        vector_stores=knowledge.vector_stores,
        search=searched,
        prompts=PromptPorts(sql_prompts, published_prompts),
        erasing=ErasurePorts(
            families=RedisFamilies(redis),
            eraser=RedisEraser(redis),
            outbox=RedisOutbox(redis),
            traces=RedisOwnerTraces(redis),
            files=knowledge.files,
            vector_stores=knowledge.vector_stores.stores,
            index=knowledge.vector_stores.index,
            unindexer=knowledge.unindexer,
        ),
    )
    return state, nudges


def _build_knowledge(redis: Redis, storage: DjangoFileStorage, index: PassageIndex, observer: Observer) -> Knowledge:
    stores = RedisVectorStores(redis, index_name=name_passage_index())
    files = RedisFileStore(redis, max_owner_bytes=settings.MAX_OWNER_FILES_MB * MB)
    extractor = DocumentExtractor(settings.FILES_DIR / ".reading")
    ports = IndexingPorts(stores, files, storage, extractor, index)
    indexer = Indexer(ports, lease_s=settings.LEASE_S, observer=observer)
    unindexer = Unindexer(stores=stores, files=files, index=index)

    async def detach(vector_store_id: str, file_id: str) -> None:
        await stores.detach(vector_store_id, file_id, owner=None)
        unindexer.wake()

    file_ports = FilePorts(
        store=files,
        storage=storage,
        extractor=extractor,
        detach=detach,
        max_file_bytes=settings.MAX_FILE_MB * MB,
    )
    vector_stores = VectorStorePorts(
        stores=stores,
        files=files,
        index=index,
        wake=indexer.wake,
        wake_eraser=unindexer.wake,
        tell_attributes=indexer.tell_attributes,
        lease_s=settings.LEASE_S,
    )
    return Knowledge(file_ports, vector_stores, indexer, unindexer)


def _default_models() -> dict[RelayPath, str]:
    return {"/chat/completions": settings.DEFAULT_MODEL, "/embeddings": settings.EMBEDDING_MODEL}


def build_quirks() -> ModelQuirks:
    """How the settings say that models want to be asked."""
    return ModelQuirks(
        options=settings.MODEL_OPTIONS,
        option_names=frozenset(settings.MODEL_OPTION_NAMES),
        aliases=settings.MODEL_ALIASES,
        reasoning_replay=cast(ReasoningReplay, settings.REASONING_REPLAY),  # the setting is one of its words
        system_messages=cast(SystemMessages, settings.SYSTEM_MESSAGES),
        tagged_models=tuple(map(read_tagged_models, settings.THINK_TAGS)),
    )


@asynccontextmanager
async def _in_background(name: str, chore: Chore) -> AsyncIterator[None]:
    task = asyncio.create_task(_keep_going(name, chore), name=name)
    try:
        yield
    finally:
        await cancel_until_done(task, again_s=CANCEL_AGAIN_S)


async def _keep_going(name: str, chore: Chore) -> None:
    """Each of these handles what it expects; what nobody expected is logged, and does not end it for good."""
    while True:
        try:
            await chore()
        except Exception:
            log.exception("chore_failed", chore=name)
        await asyncio.sleep(RESTART_S)

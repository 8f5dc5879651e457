"""Items, drafts, stores and turns for tests of Redis below the HTTP API."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from msgspec.structs import replace
from redis.asyncio import Redis

from config.redis_pools import build_pool, says_replica
from prompts.adapters.redis import keys
from prompts.adapters.redis.conversation_store import RedisConversationStore
from prompts.adapters.redis.eraser import RedisEraser
from prompts.adapters.redis.event_log import RedisEventLog
from prompts.adapters.redis.multiplexed import MultiplexedRedis
from prompts.adapters.redis.nudges import Nudges
from prompts.adapters.redis.reader_marks import RedisReaderMarks
from prompts.adapters.redis.response_notes import RedisResponseNotes
from prompts.adapters.redis.response_store import RedisResponseStore, Retention
from prompts.answer.events import Narration, encode
from prompts.domain import ids
from prompts.domain.items import InputText, Item, Message
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import Response
from prompts.domain.signals import Finished, Signal, Text, pack
from prompts.domain.waypoints import pack_waypoint
from prompts.history.account import measure
from prompts.ports.chat_model import ChatModel
from prompts.ports.conversations import ConversationStore
from prompts.ports.eraser import Eraser
from prompts.ports.event_log import EventLog, Group
from prompts.ports.observer import Unobserved
from prompts.ports.reader_marks import ReaderMarks
from prompts.ports.response_notes import ResponseNotes
from prompts.ports.responses import Admitted, Claim, Draft, Outcome, ResponseStore
from prompts.run.runner import Limits, Runner
from prompts.run.waypoints import WaypointPace
from prompts.usecases.anchors import read_anchor
from tests.support.fakes.calibration import FakeCalibration
from tests.support.sealer import SEALER

RETENTION_S = 3600
HISTORY_TOKENS = 8000
LEASE_S = 600


@dataclass(frozen=True)
class Stores:
    """The stores of one replica: on a Redis, or in the memory of the fakes."""

    responses: ResponseStore
    conversations: ConversationStore
    event_log: EventLog
    notes: ResponseNotes
    eraser: Eraser
    reader_marks: ReaderMarks


class RetryingRedis:
    """A Redis whose client runs each script twice, as after a lost answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @classmethod
    def of(cls, redis: Redis) -> Redis:
        """The same, typed as a `Redis`."""
        return cast(Redis, cls(redis))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a script twice, and return the second answer; any other command runs once."""
        if args[0] == "EVALSHA":
            await self._redis.execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py has no types here
        return await self._redis.execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py has no types here


def open_redis(url: str) -> MultiplexedRedis:
    """A client as a process has it; its context closes it."""
    return MultiplexedRedis(build_pool(url, max_connections=64, timeout_s=5), says_replica)


def open_stores(
    redis: Redis,
    *,
    replica_id: str = "rep_1",
    items_a_slice: int = 100,
    nudges: Nudges | None = None,
    max_at_once: int = 100,
) -> Stores:
    """The stores of a replica; `nudges` that listen are needed by whoever watches a log. More items are staged."""
    retention = Retention(log_s=RETENTION_S, history_s=RETENTION_S)
    return Stores(
        responses=RedisResponseStore(redis, replica_id=replica_id, retention=retention, max_at_once=max_at_once),
        conversations=RedisConversationStore(redis, retention_s=RETENTION_S, max_at_once=max_at_once),
        event_log=RedisEventLog(redis, nudges or Nudges(redis, replica_id)),
        notes=RedisResponseNotes(redis),
        eraser=RedisEraser(redis, items_a_slice=items_a_slice),
        reader_marks=RedisReaderMarks(redis, lease_s=LEASE_S),
    )


def open_runner(stores: Stores, model: ChatModel, *, lease_s: float = 10, max_runs: int = 10) -> Runner:
    """The runner of a replica."""
    return Runner(
        store=stores.responses,
        model=model,
        sealer=SEALER,
        calibration=FakeCalibration(),
        limits=Limits(max_runs=max_runs, max_run_s=60, lease_s=lease_s),
        release=lambda _: asyncio.sleep(0),
        check_storage=lambda: None,
        observer=Unobserved(),
    )


def build_item(text: str, partition: str) -> Message:
    """A user's message."""
    return Message(id=ids.new_id(ids.MESSAGE, partition), status="completed", role="user", content=[InputText(text)])


def build_draft(
    text: str = "Hello",
    *,
    partition: str | None = None,
    conversation_id: str | None = None,
    previous_response_id: str | None = None,
    claim: Claim | None = None,
) -> Draft:
    """The draft of a turn with the input `text`. Without an anchor it begins a chain, in this or a random partition."""
    anchor_id = conversation_id or previous_response_id
    place = ids.get_partition(anchor_id) if anchor_id else partition or ids.new_partition()
    said = build_item(text, place)
    response = Response(id=ids.new_id(ids.RESPONSE, place), created_at=0, status="in_progress", model="m")
    return Draft(
        response=response,
        model_request=ModelRequest(model="m"),
        input=[said],
        anchor=read_anchor(conversation_id, previous_response_id),
        claim=claim or Claim(body_hash=text),
        model_input=measure(instructions=None, new_input=[said], budget_tokens=HISTORY_TOKENS),
        last_opening_number=len(Narration(response).opening()) - 1,
        reader_id=secrets.token_hex(8),
    )


def replace_response(draft: Draft, response: Response) -> Draft:
    """The draft of the same turn with another response."""
    return replace(draft, response=response)


def replace_input(draft: Draft, items: Sequence[Item]) -> Draft:
    """The draft of the same turn with another input."""
    return replace(draft, input=items)


def replace_request(draft: Draft, request: ModelRequest) -> Draft:
    """The draft of the same turn with another model request."""
    return replace(draft, model_request=request)


async def admit(
    stores: Stores, draft: Draft, *, owner: str = "alice", history_tokens: int = HISTORY_TOKENS
) -> Admitted:
    """Admit a turn that must be admitted."""
    admitted = await stores.responses.admit(draft, owner=owner, history_tokens=history_tokens, lease_s=600)
    assert isinstance(admitted, Admitted)
    return admitted


def build_group(narration: Narration, signals: Sequence[Signal], *, has_waypoint: bool = False) -> Group:
    """The group of these signals, as a run writes it to the log."""
    after = narration.next_number - 1
    narration.begin_group()
    narration.tell(signals)
    waypoint = narration.find_waypoint() if has_waypoint else None
    packed_waypoint = pack_waypoint(waypoint) if waypoint else b""
    return Group(after, narration.next_number - 1, pack(signals) if signals else b"", packed_waypoint)


async def write(stores: Stores, admitted: Admitted, *words: str, lease_s: float = 600) -> Narration:
    """Append each word to a response's log as a group of its own, as a run does. Returns the narration so far."""
    narration, waypoints = Narration(admitted.response), WaypointPace()
    narration.opening()
    for word in words:
        group = build_group(narration, [Text(word)])
        group = replace(group, waypoint=waypoints.pass_group(narration, 1))
        await stores.responses.append(admitted.response.id, group, epoch=admitted.epoch, lease_s=lease_s)
    return narration


async def lose_lease(redis: Redis, response_id: str) -> None:
    """Expire the lease of a response, as if its replica had died."""
    await redis.zadd(keys.leases(ids.get_partition(response_id)), {response_id: 1})


async def make_conversation(stores: Stores, *said: str, partition: str | None = None, owner: str = "alice") -> str:
    """Create a conversation with these messages."""
    conversation_id = ids.new_id(ids.CONVERSATION, partition or ids.new_partition())
    items = [build_item(text, ids.get_partition(conversation_id)) for text in said]
    await stores.conversations.create(conversation_id, owner=owner, metadata={}, items=items)
    return conversation_id


async def commit(
    stores: Stores, admitted: Admitted, *said: Item, narration: Narration | None = None, owner: str = "alice"
) -> None:
    """End an admitted turn as `completed`; `said` joins the history."""
    if narration is None:
        narration = Narration(admitted.response)
        narration.opening()
    after = narration.next_number - 1
    narration.tell([Text("Hi.")])
    ended = narration.end(completed_at=1, finished=Finished("stop"))
    last_number = narration.closing(ended, encode(ended))[-1].sequence_number
    outcome = Outcome(ended, encode(ended), [*said, *ended.output])
    last = Group(after, last_number, pack([Text("Hi."), Finished("stop")]))
    await stores.responses.commit(outcome, last, owner=owner, epoch=admitted.epoch)


async def take_turn(stores: Stores, **anchor: Any) -> str:
    """Run a whole turn. Returns the response's id."""
    draft = build_draft(**anchor)
    await commit(stores, await admit(stores, draft), *draft.input)
    return draft.response.id

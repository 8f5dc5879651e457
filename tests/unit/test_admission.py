"""What a turn does about a response that gives way, when something comes between its steps."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from typing_extensions import override

from prompts.domain.responses import Status
from prompts.errors import KeyReused
from prompts.ports.reader_marks import Reader
from prompts.ports.responses import Admitted, Attached, Draft, InTheWay, Seized
from prompts.run.ending import retell
from prompts.run.followers import Followers
from prompts.usecases.admission import Admission
from tests.contract.port_turns import OWNER, begin, end_turn, get_status, read_conversation
from tests.support.builders import HISTORY_TOKENS, Stores, build_draft, make_conversation, write
from tests.support.fakes.conversation_store import FakeConversationStore
from tests.support.fakes.eraser import FakeEraser
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.reader_marks import FakeReaderMarks
from tests.support.fakes.response_notes import FakeResponseNotes
from tests.support.fakes.response_store import FakeResponseStore
from tests.support.runner_harness import Harness, settle
from tests.support.servers import eventually


async def nothing() -> None:
    """Nothing comes between."""


@dataclass
class InterruptedStore(FakeResponseStore):
    """A store in which something happens between two steps of an admission."""

    before_seizure: Callable[[], Awaitable[None]] = nothing
    after_seizure: Callable[[], Awaitable[None]] = nothing
    before_displacement: Callable[[], Awaitable[None]] = nothing
    after_displacement: Callable[[], Awaitable[None]] = nothing

    @override
    async def seize(self, response_id: str, **more: Any) -> Seized | Status | None:
        await self.before_seizure()
        seized = await super().seize(response_id, **more)
        await self.after_seizure()
        return seized

    @override
    async def admit(self, draft: Draft, **more: Any) -> Admitted | Attached | InTheWay:
        if more.get("ending"):
            await self.before_displacement()
        reply = await super().admit(draft, **more)
        if more.get("ending"):
            await self.after_displacement()
        return reply


@dataclass
class Scene:
    """A response that was left in a conversation, and the turn that comes next."""

    stores: Stores
    store: InterruptedStore
    admission: Admission
    left: Draft
    admitted: Admitted
    turn: Draft
    conversation_id: str
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def admit(self) -> Admitted | Attached:
        """The turn's admission."""
        return await self.admission.admit(self.turn, if_busy=None, history_tokens=HISTORY_TOKENS)

    async def give_up(self, *, when: str) -> None:
        """The turn's client leaves at this step, which then goes on."""
        reached = asyncio.Event()

        async def hold() -> None:
            reached.set()
            await self.gate.wait()

        setattr(self.store, when, hold)
        asking = asyncio.create_task(self.admit())
        await reached.wait()
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        setattr(self.store, when, nothing)
        self.gate.set()


@pytest.fixture
async def scene(harness: Harness) -> Scene:
    memory = harness.memory
    store = InterruptedStore(memory)
    stores = Stores(
        responses=store,
        conversations=FakeConversationStore(memory),
        event_log=FakeEventLog(memory),
        notes=FakeResponseNotes(memory),
        eraser=FakeEraser(memory),
        reader_marks=FakeReaderMarks(memory),
    )
    conversation_id = await make_conversation(stores, "One")
    left, admitted = await begin(stores, build_draft("Two", conversation_id=conversation_id))
    await write(stores, admitted, "Half ")
    await stores.reader_marks.unmark(Reader(left.response.id, left.reader_id))
    followers = Followers(marks=stores.reader_marks)
    admission = Admission(OWNER, store, stores.event_log, harness.runner, followers)
    turn = build_draft("Three", conversation_id=conversation_id)
    return Scene(stores, store, admission, left, admitted, turn, conversation_id)


async def until_cancelled(scene: Scene) -> None:
    """Until the response that was left has ended."""

    async def is_cancelled() -> bool:
        return await get_status(scene.stores, scene.left.response.id) == "cancelled"

    await eventually(is_cancelled, within_s=2)


@pytest.mark.parametrize("end", ["completed", "incomplete", "failed"])
async def test_a_turn_comes_after_what_has_come_to_its_own_end_just_before_it_was_seized(
    scene: Scene, end: Any
) -> None:
    async def end_by_itself() -> None:
        scene.store.before_seizure = nothing
        narration = await retell(scene.admitted.response, event_log=scene.stores.event_log)
        await end_turn(scene.stores, scene.left, scene.admitted, end=end, narration=narration)

    scene.store.before_seizure = end_by_itself
    admitted = await scene.admit()
    assert isinstance(admitted, Admitted)
    assert not admitted.has_displaced
    assert await get_status(scene.stores, scene.left.response.id) == end


@pytest.mark.parametrize("when", ["after_seizure", "before_displacement"])
async def test_what_was_seized_is_ended_though_the_turn_was_given_up(scene: Scene, when: str) -> None:
    await scene.give_up(when=when)
    await until_cancelled(scene)
    assert await read_conversation(scene.stores, scene.conversation_id) == ["One", "Two", "Half "]


async def test_what_was_seized_is_ended_though_the_turn_is_refused(scene: Scene) -> None:
    async def refuse() -> None:
        raise KeyReused("Used.")

    scene.store.before_displacement = refuse
    with pytest.raises(KeyReused):
        await scene.admit()
    await until_cancelled(scene)


async def test_a_turn_whose_admission_nobody_waited_for_is_in_nobodys_way(scene: Scene) -> None:
    await scene.give_up(when="after_displacement")
    await settle()
    again = build_draft("Four", conversation_id=scene.conversation_id)
    admitted = await scene.admission.admit(again, if_busy=None, history_tokens=HISTORY_TOKENS)
    assert isinstance(admitted, Admitted)
    assert await get_status(scene.stores, scene.turn.response.id) == "cancelled"

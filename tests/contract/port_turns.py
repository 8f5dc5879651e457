"""Turns for the suites, made and read through the ports."""

import time
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from prompts.answer.events import Narration, encode
from prompts.domain import ids
from prompts.domain.items import Item, Message, text_of
from prompts.domain.responses import ResponseError, Status
from prompts.domain.signals import Finished, Text, pack
from prompts.errors import UpstreamError
from prompts.ports.event_log import Group
from prompts.ports.responses import Admitted, Draft, Outcome, Seized
from prompts.run.ending import describe
from tests.support.builders import Stores, admit, build_draft

OWNER = "alice"
STRANGER = "bob"
LEASE_S = 600.0
UNKNOWN_RESPONSE = "resp_" + "0" * 32
UNKNOWN_CONVERSATION = "conv_" + "0" * 32
UNKNOWN_ITEM = "msg_" + "0" * 32
BROKEN = UpstreamError("It broke off.")

End = Literal["completed", "incomplete", "cancelled", "failed"]
FINISHED: dict[str, Finished | None] = {"completed": Finished("stop"), "incomplete": Finished("length")}
decode_item = msgspec.json.Decoder(Item).decode


def not_stored(draft: Draft) -> Draft:
    """The same turn with `store: false`."""
    return replace(draft, response=replace(draft.response, store=False))


def begin_telling(admitted: Admitted) -> Narration:
    """The narration of a response after its opening."""
    narration = Narration(admitted.response)
    narration.opening()
    return narration


def build_outcome(
    draft: Draft, admitted: Admitted, *, end: End = "completed", narration: Narration | None = None
) -> tuple[Outcome, Group]:
    """The arguments of a commit: the outcome, and the last group, which says `Hi.`"""
    narration = narration or begin_telling(admitted)
    after, finished = narration.next_number - 1, FINISHED.get(end)
    narration.tell([Text("Hi.")])
    error = ResponseError(BROKEN.response_code, BROKEN.message) if end == "failed" else None
    ended = narration.end(completed_at=1, finished=finished, error=error)
    last_number = narration.closing(ended, encode(ended))[-1].sequence_number
    items = [] if error else [*draft.input, *ended.output]
    outcome = Outcome(ended, encode(ended), items, describe(BROKEN) if error else None)
    return outcome, Group(after, last_number, pack([Text("Hi."), *([finished] if finished else [])]))


async def end_turn(
    stores: Stores,
    draft: Draft,
    admitted: Admitted,
    *,
    end: End = "completed",
    narration: Narration | None = None,
    owner: str = OWNER,
) -> Outcome:
    """Commit an admitted turn. Its last word is `Hi.`"""
    outcome, last = build_outcome(draft, admitted, end=end, narration=narration)
    await stores.responses.commit(outcome, last, owner=owner, epoch=admitted.epoch)
    return outcome


async def begin(stores: Stores, draft: Draft | None = None) -> tuple[Draft, Admitted]:
    """Admit a turn of Alice; it must succeed."""
    draft = draft or build_draft()
    return draft, await admit(stores, draft)


async def take_turn(stores: Stores, draft: Draft | None = None, *, end: End = "completed") -> str:
    """One whole turn of Alice. Returns the response's id."""
    draft, admitted = await begin(stores, draft)
    await end_turn(stores, draft, admitted, end=end)
    return draft.response.id


async def read_log(stores: Stores, response_id: str) -> list[str]:
    """The text of each log entry after the opening."""
    words: list[str] = []
    after = -1
    while entries := await stores.event_log.read(response_id, after=after):
        words += ["".join(sign.text for sign in entry.signals if isinstance(sign, Text)) for entry in entries]
        after = entries[-1].last_number
    return words[1:]


async def find_log_end(stores: Stores, response_id: str) -> int:
    """The last number in the log."""
    after = -1
    while entries := await stores.event_log.read(response_id, after=after):
        after = entries[-1].last_number
    return after


async def read_conversation(stores: Stores, conversation_id: str) -> list[str]:
    """The texts in a conversation of Alice, oldest first."""
    page = await stores.conversations.list_items(conversation_id, owner=OWNER, limit=100, order="asc", after=None)
    return words_of([decode_item(item) for item in page.data])


async def read_chain(stores: Stores, response_id: str) -> list[str]:
    """The texts that a turn after this response would continue, oldest first."""
    draft = not_stored(build_draft(previous_response_id=response_id))
    admitted = await admit(stores, draft)
    await stores.responses.discard(draft.response.id)
    return words_of(admitted.window)


def words_of(items: Sequence[Item]) -> list[str]:
    """The text of each message."""
    return [text_of(item) for item in items if isinstance(item, Message)]


async def get_status(stores: Stores, response_id: str) -> Status:
    """The status of a response of Alice."""
    return (await stores.responses.get(response_id, owner=OWNER)).status


async def is_lost(stores: Stores, response_id: str) -> bool:
    """Whether a response is among the lost ones."""
    return response_id in await stores.responses.list_lost()


async def seize(stores: Stores, response_id: str, *, owner: str | None = None) -> Seized:
    """Seize an active response; it must succeed."""
    seized = await stores.responses.seize(response_id, owner=owner, lease_s=LEASE_S)
    assert isinstance(seized, Seized)
    return seized


async def fork(
    stores: Stores, origin_id: str, *, side: Literal["before", "after"] | None = None, item_id: str = ""
) -> str:
    """Fork a conversation of Alice. Returns the new id."""
    fork_id = ids.new_id(ids.CONVERSATION, ids.get_partition(origin_id))
    await stores.conversations.fork(fork_id, origin_id, owner=OWNER, side=side, item_id=item_id)
    return fork_id


def wait_for_next_millisecond() -> None:
    """Lists of conversations are ordered by the millisecond of their last use."""
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == now:
        pass

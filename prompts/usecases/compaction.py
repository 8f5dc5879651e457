"""Use cases on histories as a whole: compact one, count the tokens of one."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from prompts.domain import ids
from prompts.domain.items import Compaction, FunctionCall, Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import CompactedHistory
from prompts.domain.text import JsonSchema
from prompts.errors import UnknownCall, UpstreamError, UpstreamTimeout
from prompts.history.compaction import apply_compactions, list_user_messages
from prompts.history.model_input import compose_items, estimate_items, estimate_text, estimate_tools
from prompts.ports.calibration import Calibration
from prompts.ports.chat_model import ChatModel
from prompts.ports.compactions import Compactions
from prompts.ports.conversations import ConversationStore, Histories
from prompts.ports.responses import Claim, ResponseStore
from prompts.ports.sealing import Sealer
from prompts.run.runner import Runner
from prompts.run.summary import Summary, summarize
from prompts.usecases.responses import (
    StoredItem,
    build_items,
    check_anchor,
    check_model,
    choose_partition,
    find_unanswered,
)

encode = msgspec.json.Encoder().encode


async def compact_history(
    *,
    owner: str,
    new_input: Sequence[Item | StoredItem],
    previous_response_id: str | None,
    instructions: str | None,
    model_request: ModelRequest,
    claim: Claim,
    histories: Histories,
    compactions: Compactions,
    store: ResponseStore,
    conversations: ConversationStore,
    model: ChatModel,
    runner: Runner,
) -> tuple[bytes, bool]:
    """The user's messages and one compaction for all the rest, as JSON; and whether it is that of an earlier request.

    It is kept under its id, from which a turn can continue. A client that leaves before that leaves nothing behind.
    Raises NotFound (model, previous response, item), UnknownCall, ResponseNotEnded, KeyReused, InvalidRequest (too long
    a history), Draining, Overloaded, StorageFull, Unavailable, and what the model fails at.
    """
    check_anchor(None, previous_response_id)
    await check_model(model_request.model, model)
    partition = choose_partition(previous_response_id, owner, claim)
    earlier = await compactions.find(claim, partition, owner=owner, anchor_id=previous_response_id)
    if earlier is None:
        given = await build_items(new_input, partition, owner=owner, conversations=conversations)
        items = await _read_all(given, previous_response_id, owner=owner, histories=histories)
        with runner.attend():
            summary = await _summarize(items, instructions, model_request, owner=owner, model=model, runner=runner)
        compacted = _build(items, summary, partition, owner=owner, sealer=runner.sealer)
        earlier = await compactions.keep(compacted, given, claim, owner=owner, anchor_id=previous_response_id)
        if earlier is None:
            return encode(compacted), False
    return (await store.get(earlier.response_id, owner=owner)).body, True


async def count_input(
    *,
    owner: str,
    new_input: Sequence[Item | StoredItem],
    conversation_id: str | None,
    previous_response_id: str | None,
    instructions: str | None,
    model_request: ModelRequest,
    history_tokens: int,
    histories: Histories,
    conversations: ConversationStore,
    model: ChatModel,
    calibration: Calibration,
    sealer: Sealer,
) -> int:
    """How many tokens the model would be given, about; it is not asked.

    Raises NotFound (model, conversation, previous response, item), ResponseNotEnded, Unavailable.
    """
    check_anchor(conversation_id, previous_response_id)
    await check_model(model_request.model, model)
    items = await build_items(new_input, ids.new_partition(), owner=owner, conversations=conversations)
    factor = calibration.get_factor(model_request.model)
    window: Sequence[Item] = ()
    if conversation_id is not None or previous_response_id is not None:
        window = await histories.read(
            owner=owner,
            conversation_id=conversation_id,
            previous_response_id=previous_response_id,
            max_tokens=int(history_tokens / factor),
        )
    unseal = partial(sealer.open, owner)
    given = compose_items(instructions=instructions, window=window, new_input=items, unseal=unseal)
    estimated = estimate_items(given) + estimate_tools(model_request.offered) + _estimate_format(model_request)
    return round(estimated * factor)


async def _read_all(
    given: Sequence[Item], previous_response_id: str | None, *, owner: str, histories: Histories
) -> Sequence[Item]:
    """The whole history and what was given with it. Raises UnknownCall."""
    history: Sequence[Item] = ()
    if previous_response_id is not None:
        history = await histories.read(
            owner=owner, conversation_id=None, previous_response_id=previous_response_id, max_tokens=None
        )
    made = {item.call_id for item in history if isinstance(item, FunctionCall)}
    for call_id in find_unanswered(given):
        if call_id not in made:
            raise UnknownCall(call_id)
    return [*history, *given]


async def _summarize(
    items: Sequence[Item],
    instructions: str | None,
    model_request: ModelRequest,
    *,
    owner: str,
    model: ChatModel,
    runner: Runner,
) -> Summary:
    opened = apply_compactions(items, partial(runner.sealer.open, owner))
    max_s = runner.limits.max_run_s
    try:
        async with asyncio.timeout(max_s):
            summary = await summarize(opened, request=model_request, model=model, wish=instructions)
    except TimeoutError:
        raise UpstreamTimeout(f"The summary took longer than the {max_s:g} s it may take.") from None
    if summary is None:
        raise UpstreamError("The model gave no summary that could be used. Send the request again.")
    return summary


def _build(items: Sequence[Item], summary: Summary, partition: str, *, owner: str, sealer: Sealer) -> CompactedHistory:
    """Its items are on a timeline of their own, and so have ids of their own."""
    messages = [replace(item, id=ids.new_id(ids.MESSAGE, partition)) for item in list_user_messages(items)]
    sealed = sealer.seal(owner, "compaction", summary.text)
    return CompactedHistory(
        id=ids.new_id(ids.RESPONSE, partition),
        created_at=int(time.time()),
        output=[*messages, Compaction(ids.new_id(ids.COMPACTION, partition), sealed)],
        usage=summary.usage,
    )


def _estimate_format(model_request: ModelRequest) -> int:
    """A schema is given to the model, or to the grammar that its server holds it to; nobody says which."""
    text_format = model_request.text.format
    return estimate_text(encode(text_format.schema).decode()) if isinstance(text_format, JsonSchema) else 0

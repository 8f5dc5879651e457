"""Use cases on histories as a whole: compact one, count the tokens of one."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from prompts.domain import ids
from prompts.domain.anchors import AfterResponse
from prompts.domain.item_kinds import find_made_call
from prompts.domain.items import Compaction, Item
from prompts.domain.kept_thoughts import hide_all_kept
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import CompactedHistory
from prompts.domain.text import JsonSchema
from prompts.errors import InvalidRequest, NotFound, ServiceError, UnknownCall, UpstreamError, UpstreamTimeout
from prompts.history.calls import find_unanswered
from prompts.history.compaction import apply_compactions, list_user_messages
from prompts.history.estimates import estimate_items, estimate_text, estimate_tools
from prompts.history.found_tools import with_found_tools
from prompts.history.model_input import compose_items
from prompts.ports.compactions import Compactions
from prompts.ports.conversations import Histories
from prompts.ports.responses import Claim
from prompts.ports.sealing import Sealer
from prompts.ports.token_meter import NO_TOKEN_LIMITS, TokenLimits
from prompts.run.metering import OUTPUT_TOKENS, count_used, meter_question
from prompts.run.summary import Summary, summarize
from prompts.usecases.ask import Ask, build_model_request
from prompts.usecases.items import StoredItem, build_items
from prompts.usecases.plans import choose_partition
from prompts.usecases.prompting import apply_prompt, place_default, place_variable
from prompts.usecases.turns import TurnPorts, check_model

encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class HistoryPorts:
    """What histories are read and compacted with."""

    turns: TurnPorts
    histories: Histories
    compactions: Compactions
    sealer: Sealer


async def compact_history(
    *,
    owner: str,
    new_input: Sequence[Item | StoredItem],
    anchor: AfterResponse | None,
    instructions: str | None,
    model_request: ModelRequest,
    claim: Claim,
    ports: HistoryPorts,
    limits: TokenLimits = NO_TOKEN_LIMITS,
) -> tuple[bytes, bool]:
    """The user's messages and one compaction for all the rest, as JSON; and whether it is that of an earlier request.

    It is kept under its id, from which a turn can continue. A client that leaves before that leaves nothing behind.
    Raises NotFound (model, previous response, item), UnknownCall, ResponseNotEnded, KeyReused, InvalidRequest (too long
    a history), Draining, Overloaded, RateLimited, QuotaExceeded, StorageFull, Unavailable, and what the model fails at.
    """
    turns = ports.turns
    await check_model(model_request.model, turns.model)
    partition = choose_partition(anchor, owner, claim)
    earlier = await ports.compactions.find(claim, partition, owner=owner, anchor=anchor)
    if earlier is None:
        turns.quotas.check(owner)
        given = await build_items(
            new_input, partition, owner=owner, conversations=turns.conversations, files=turns.files
        )
        items = await _read_all(given, anchor, owner=owner, histories=ports.histories)
        with turns.runner.attend(owner):
            factor = turns.calibration.get_factor(model_request.model, owner=owner)
            summary = await _summarize_metered(
                items, instructions, model_request, owner=owner, ports=ports, limits=limits, factor=factor
            )
        compacted = _build(items, summary, partition, owner=owner, sealer=ports.sealer)
        earlier = await ports.compactions.keep(compacted, given, claim, owner=owner, anchor=anchor)
        if earlier is None:
            return encode(hide_all_kept(compacted)), False
    return (await turns.store.get(earlier.response_id, owner=owner)).body, True


async def count_input(said: Ask, ports: HistoryPorts) -> int:
    """How many tokens the model would be given, about; it is not asked.

    Raises NotFound (model, conversation, previous response, item, prompt), InvalidRequest (a variable),
    ResponseNotEnded, Unavailable.
    """
    turns, owner = ports.turns, said.owner
    ask = await apply_prompt(said, turns.prompts)
    model_request = build_model_request(ask, turns.defaults)
    try:
        await check_model(model_request.model, turns.model)
    except NotFound as error:
        place_default(error, said)
        raise
    try:
        items = await build_items(
            ask.input, ids.new_partition(), owner=owner, conversations=turns.conversations, files=turns.files
        )
    except InvalidRequest as error:
        place_variable(error, ask)
        raise
    factor = turns.calibration.get_factor(model_request.model, owner=owner)
    window: Sequence[Item] = ()
    if ask.anchor is not None:
        max_tokens = int(turns.defaults.get_history_tokens(ask) / factor)
        window = await ports.histories.read(ask.anchor, owner=owner, max_tokens=max_tokens)
    unseal = partial(ports.sealer.open, owner)
    given = compose_items(instructions=ask.instructions, window=window, new_input=items, unseal=unseal)
    tools = with_found_tools(model_request, given).offered
    estimated = estimate_items(given) + estimate_tools(tools) + _estimate_format(model_request)
    return round(estimated * factor)


async def _read_all(
    given: Sequence[Item], anchor: AfterResponse | None, *, owner: str, histories: Histories
) -> Sequence[Item]:
    """The whole history and what was given with it. Raises UnknownCall."""
    history = await histories.read(anchor, owner=owner, max_tokens=None) if anchor is not None else ()
    made = set(map(find_made_call, history))
    for call_id in find_unanswered(given):
        if call_id not in made:
            raise UnknownCall(call_id)
    return [*history, *given]


async def _summarize_metered(
    items: Sequence[Item],
    instructions: str | None,
    model_request: ModelRequest,
    *,
    owner: str,
    ports: HistoryPorts,
    limits: TokenLimits,
    factor: float,
) -> Summary:
    """The same, its tokens reserved and settled. Raises QuotaExceeded, RateLimited besides."""
    runner = ports.turns.runner
    tokens = round(estimate_items(items) * factor) + OUTPUT_TOKENS
    metering = await meter_question(owner=owner, tokens=tokens, limits=limits, meter=runner.meter, keep=runner.keep)
    with metering as question:
        try:
            summary = await _summarize(items, instructions, model_request, owner=owner, ports=ports)
        except ServiceError:
            question.used = 0
            raise
        question.used = count_used(summary.usage)
    return summary


async def _summarize(
    items: Sequence[Item],
    instructions: str | None,
    model_request: ModelRequest,
    *,
    owner: str,
    ports: HistoryPorts,
) -> Summary:
    opened = apply_compactions(items, partial(ports.sealer.open, owner))
    model, max_s = ports.turns.model, ports.turns.runner.limits.max_run_s
    try:
        async with asyncio.timeout(max_s):
            summary = await summarize(opened, request=model_request, model=model, wish=instructions)
    except TimeoutError:
        raise UpstreamTimeout(f"The summary took longer than the {max_s:g} s it may take.") from None
    if summary is None:
        raise UpstreamError("The model gave no summary that could be used. Send the request again.")
    return summary


def _build(items: Sequence[Item], summary: Summary, partition: str, *, owner: str, sealer: Sealer) -> CompactedHistory:
    """The compacted history. It has a timeline of its own, so its items get new ids."""
    messages = [replace(item, id=ids.new_id(ids.MESSAGE, partition)) for item in list_user_messages(items)]
    sealed = sealer.seal(owner, "compaction", summary.text)
    return CompactedHistory(
        id=ids.new_id(ids.RESPONSE, partition),
        created_at=int(time.time()),
        output=[*messages, Compaction(ids.new_id(ids.COMPACTION, partition), sealed)],
        usage=summary.usage,
        usage_estimated=True if summary.is_estimated else UNSET,
    )


def _estimate_format(model_request: ModelRequest) -> int:
    """The tokens of a schema: some servers show it to the model."""
    text_format = model_request.text.format
    return estimate_text(encode(text_format.schema).decode()) if isinstance(text_format, JsonSchema) else 0

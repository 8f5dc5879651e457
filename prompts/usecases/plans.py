"""A turn before its admission: what the store is asked to admit, and what the run is then given.

The history of a turn is what the store gives back, then what a connection remembers (`prompts/usecases/remembered.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from prompts.answer.events import Narration
from prompts.domain import ids
from prompts.domain.anchors import AfterResponse, Anchor, InConversation
from prompts.domain.item_kinds import ITEM_KINDS
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import ConversationRef, ModelInput, Response
from prompts.history.account import measure
from prompts.history.calls import find_unanswered
from prompts.history.found_tools import with_found_tools
from prompts.ports.calibration import Calibration
from prompts.ports.conversations import ConversationStore
from prompts.ports.responses import Admitted, Claim, Draft
from prompts.ports.token_meter import TokenLimits
from prompts.run.brief import Brief
from prompts.run.followers import new_reader
from prompts.usecases.ask import Ask, Defaults, build_echo
from prompts.usecases.files import FilePorts
from prompts.usecases.items import build_items
from prompts.usecases.remembered import Remembered


@dataclass(frozen=True, slots=True)
class TurnTokens:
    """How many tokens a turn may need, an estimate, and the limits that it is held against."""

    needed: int
    limits: TokenLimits


class Plan(Struct, frozen=True):
    """A turn that is about to be admitted."""

    draft: Draft
    recalled: Sequence[Item]
    """The history that no store holds, where the draft does not bring it: it follows what the store gives back."""
    history_tokens: int
    """What is left for the history that the store holds."""
    is_remembered: bool
    tokens: TurnTokens | None = None
    """What is reserved for it; None where its owner has no limit."""


async def plan_turn(
    ask: Ask,
    request: ModelRequest,
    *,
    before: Remembered | None,
    defaults: Defaults,
    conversations: ConversationStore,
    files: FilePorts,
    calibration: Calibration,
) -> Plan:
    """The turn as admission takes it. Raises NotFound (item), InvalidRequest (a file), BodyTooLarge, Unavailable."""
    anchor = before.anchor if before else ask.anchor
    partition = choose_partition(anchor, ask.owner, ask.claim)
    response = _place(build_echo(ask, request), ids.new_id(ids.RESPONSE, partition), anchor)
    items = await build_items(ask.input, partition, owner=ask.owner, conversations=conversations, files=files)
    factor = calibration.get_factor(request.model, owner=ask.owner)
    history_tokens = defaults.get_history_tokens(ask)
    budget_tokens = int(history_tokens / factor)
    draft = Draft(
        response=response,
        model_request=request,
        input=items,
        anchor=anchor,
        claim=ask.claim,
        unanswered=find_unanswered(items),
        model_input=_measure(ask, request, items, history_tokens, factor),
        last_opening_number=Narration.count_opening(response) - 1,
        reader_id=new_reader(response.id).id,
    )
    if before is None:
        return Plan(draft, (), 0 if ask.is_warm_up else budget_tokens, ask.is_remembered)
    return _recall(draft, before, budget_tokens=budget_tokens)


def _measure(ask: Ask, request: ModelRequest, items: Sequence[Item], history_tokens: int, factor: float) -> ModelInput:
    """What a model will be given beside the history; in a warm-up no model is given anything."""
    if ask.is_warm_up:
        return measure(instructions=None, new_input=(), budget_tokens=history_tokens, calibration=factor)
    return measure(
        instructions=ask.instructions,
        tools=with_found_tools(request, items).offered,
        new_input=items,
        budget_tokens=history_tokens,
        calibration=factor,
    )


def _recall(draft: Draft, before: Remembered, *, budget_tokens: int) -> Plan:
    """The same with what is remembered of the history."""
    window = before.take_window(budget_tokens=budget_tokens)
    dropped = before.dropped + window.dropped
    recalled = [sized.item for sized in window.items]
    response, account = replace(draft.response, previous_response_id=before.response_id), draft.model_input
    if not draft.model_request.is_warm_up:
        account = replace(account, history_items=len(recalled), history_tokens=window.tokens, dropped_items=dropped)
    draft = replace(
        draft,
        response=response,
        unanswered=[call_id for call_id in draft.unanswered if call_id not in before.call_ids],
        model_input=account,
    )
    left_tokens = 0 if dropped or draft.model_request.is_warm_up else budget_tokens - window.tokens
    if not response.store:
        return Plan(draft, recalled, left_tokens, is_remembered=True)
    joined = replace(draft, input=[*_copy(recalled, response.id), *draft.input])
    return Plan(joined, (), left_tokens, is_remembered=False)


def _copy(items: Sequence[Item], response_id: str) -> list[Item]:
    """The items with ids of the response's partition: what is stored is found by them."""
    partition = ids.get_partition(response_id)
    return [replace(item, id=ids.new_id(ITEM_KINDS[type(item)].id_prefix, partition)) for item in items]


def brief_run(plan: Plan, admitted: Admitted, *, owner: str) -> Brief:
    """What the run of an admitted turn is given."""
    draft, narration = plan.draft, Narration(admitted.response)
    return Brief(
        response=admitted.response,
        owner=owner,
        epoch=admitted.epoch,
        input=draft.input,
        window=[*admitted.window, *plan.recalled],
        model_request=draft.model_request,
        model_input=admitted.model_input,
        opening=narration.opening(),  # admission has written them down
        narration=narration,
        is_remembered=plan.is_remembered,
    )


def choose_partition(anchor: Anchor, owner: str, claim: Claim) -> str:
    """Where the response is born: with what it continues; else where a retry with the same key looks for it."""
    if anchor is not None:
        return ids.get_partition(anchor.id)
    if claim.idempotency_key is not None:
        return ids.find_partition(f"{owner} {claim.idempotency_key}")
    return ids.new_partition()


def _place(echo: Response, response_id: str, anchor: Anchor) -> Response:
    match anchor:
        case InConversation(conversation_id):
            return replace(echo, id=response_id, conversation=ConversationRef(conversation_id))
        case AfterResponse(previous_id):
            return replace(echo, id=response_id, previous_response_id=previous_id)
    return replace(echo, id=response_id)

"""Use case: a turn, from the ask to the delivered answer, over whichever transport.

`create_turn` admits it and starts its run. What its client is then given is one of three: `follow_turn` (the events as
they come), `wait_for_answer` (the ended response), `get_queued` (a background response as it begins).
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import msgspec
from msgspec.structs import replace

from prompts.answer.events import Event, Narration
from prompts.domain import ids
from prompts.domain.anchors import AfterResponse, Anchor, InConversation
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import ConversationRef, Response
from prompts.errors import FailedEarlier
from prompts.history.account import measure
from prompts.history.calls import find_unanswered
from prompts.history.found_tools import with_found_tools
from prompts.ports.calibration import Calibration
from prompts.ports.chat_model import ChatModel
from prompts.ports.conversations import ConversationStore
from prompts.ports.event_log import EventLog
from prompts.ports.prompts import NO_PROMPTS, PublishedPrompts
from prompts.ports.quotas import UNLIMITED, Quotas
from prompts.ports.reader_marks import Reader
from prompts.ports.responses import Admitted, Attached, Claim, Draft, ResponseStore
from prompts.ports.tracing import UNTRACED, Tracing
from prompts.ports.vector_stores import VectorStores
from prompts.run.brief import Brief
from prompts.run.followers import Followers, new_reader
from prompts.run.following import follow_joined, follow_response
from prompts.run.guarded_model import GuardedModel
from prompts.run.quiet import Quiet
from prompts.run.run import Run
from prompts.run.runner import Runner
from prompts.usecases.admission import Admission
from prompts.usecases.ask import Ask, Defaults, build_echo, build_model_request
from prompts.usecases.files import FilePorts
from prompts.usecases.items import build_items
from prompts.usecases.models import get_model
from prompts.usecases.passages import check_searched
from prompts.usecases.prompting import apply_prompt, placing_defaults, placing_variables

encode = msgspec.json.Encoder().encode

# How often a request that waits for a whole answer looks up when nothing happens; it sends nothing.
QUIET_S = 60.0


@dataclass(frozen=True, slots=True)
class TurnPorts:
    """What turns are served with."""

    store: ResponseStore
    event_log: EventLog
    conversations: ConversationStore
    model: GuardedModel
    calibration: Calibration
    runner: Runner
    followers: Followers
    defaults: Defaults
    files: FilePorts
    tracing: Tracing = UNTRACED
    quotas: Quotas = UNLIMITED
    vector_stores: VectorStores | None = None
    """Where files are searched; None where nobody has any."""
    prompts: PublishedPrompts = NO_PROMPTS


@dataclass(frozen=True, slots=True)
class Turn:
    """The response that a request belongs to: `run` when this process writes it, and whether the request made it."""

    response_id: str
    owner: str
    run: Run | None
    is_replay: bool
    is_stored: bool
    reader: Reader
    """Whoever sent the request; admission has marked it."""


async def create_turn(ask: Ask, ports: TurnPorts) -> Turn:
    """Admit a response and start its run, which goes on whatever becomes of the caller; a retry gets the first one's.

    With `if_busy` "wait" it may take a while; a caller who is cancelled meanwhile leaves nothing behind.
    Raises NotFound (model, conversation, previous response, item, file, vector store, prompt), InvalidRequest (what a
    file holds, a variable), ConversationLocked, ResponseNotEnded, KeyReused, UnknownCall, UpstreamUnavailable,
    Draining, Overloaded, RateLimited, QuotaExceeded, StorageFull, Unavailable.
    """
    said = ask
    ask = await apply_prompt(said, ports.prompts)
    request = build_model_request(ask, ports.defaults)
    if traceparent := ports.tracing.find_traceparent():
        request = replace(request, traceparent=traceparent)
    if ask.store is not False:
        ports.quotas.check(ask.owner)
    with placing_defaults(said):
        await check_model(request.model, ports.model)
    if ask.claim.idempotency_key is None and not ask.claim.is_retry:
        # A retry may belong to a response that is there already: admission says so.
        ports.model.check()
        if ports.vector_stores is not None:
            with placing_defaults(said):
                await check_searched(request, owner=ask.owner, stores=ports.vector_stores)
    with placing_variables(ask):
        draft = await _draft(ask, request, ports)
    admission = Admission(ask.owner, ports.store, ports.event_log, ports.runner, ports.followers)
    begin = partial(_begin, ask, draft, admission, ports)
    match ask.if_busy:
        case None if not ask.claim.is_retry:  # a retry of what was left attaches
            return await admission.when_left(begin)
        case "wait":
            return await admission.when_free(begin)
    return await begin()


async def _begin(ask: Ask, draft: Draft, admission: Admission, ports: TurnPorts, met_id: str = "") -> Turn:
    runner, is_stored = ports.runner, ask.store is not False
    history_tokens = int(ports.defaults.get_history_tokens(ask) / draft.model_input.calibration)
    with runner.reserve(ask.owner):
        admitted = await admission.admit(draft, if_busy=ask.if_busy, history_tokens=history_tokens, met_id=met_id)
        is_replay = isinstance(admitted, Attached)
        if isinstance(admitted, Attached):
            response_id, run = admitted.response_id, runner.find(admitted.response_id)
        else:
            response_id, run = draft.response.id, runner.start(_brief(draft, admitted, owner=ask.owner))
    reader = Reader(response_id, draft.reader_id)
    return Turn(response_id, ask.owner, run, is_replay=is_replay, is_stored=is_stored, reader=reader)


async def follow_turn(turn: Turn, ports: TurnPorts, *, quiet_s: float) -> AsyncGenerator[Sequence[Event], None]:
    """The events from the first one on, in groups; an empty group whenever nothing was told for `quiet_s`.

    What is not stored is erased when it was delivered, and stopped when its reader leaves (closes the generator).
    Raises as `follow_response`.
    """
    events = follow_response(
        turn.response_id,
        owner=turn.owner,
        quiet_s=quiet_s,
        run=turn.run,
        store=ports.store,
        event_log=ports.event_log,
        followers=ports.followers,
        marked=turn.reader,
    )
    try:
        async with aclosing(events):
            async for group in events:
                yield group
    finally:
        if not turn.is_stored:
            ports.runner.discard(turn.response_id)


async def wait_for_answer(turn: Turn, ports: TurnPorts) -> bytes:
    """The ended response's JSON. Raises what it failed at, and as `follow_response`.

    What is not stored is erased then; it is stopped when the caller is cancelled.
    """
    with ports.followers.join(turn.reader, is_here=turn.run is not None):
        try:
            return await _wait(turn, ports)
        finally:
            if not turn.is_stored:
                ports.runner.discard(turn.response_id)


async def get_queued(turn: Turn, ports: TurnPorts) -> bytes:
    """A background response's JSON as it begins; that of a retry, as it stands. Raises NotFound, Unavailable."""
    if turn.run is not None and not turn.is_replay:
        return encode(replace(turn.run.response, status="queued"))
    return (await ports.store.get(turn.response_id, owner=turn.owner)).body


async def _wait(turn: Turn, ports: TurnPorts) -> bytes:
    run = turn.run
    if run is not None:
        await run.wait()
        if run.error is not None:
            raise run.error
        if run.outcome is not None:
            return run.outcome.result
    events = follow_joined(
        turn.response_id,
        owner=turn.owner,
        quiet=Quiet(QUIET_S),
        run=run,
        store=ports.store,
        event_log=ports.event_log,
        followers=ports.followers,
    )
    async for _ in events:
        pass  # another replica writes it by now: wait for its end
    stored = await ports.store.get(turn.response_id, owner=turn.owner)
    if stored.failure is not None:
        raise FailedEarlier(stored.failure)
    return stored.body


async def _draft(ask: Ask, request: ModelRequest, ports: TurnPorts) -> Draft:
    """The response as admission takes it. Raises NotFound (item), Unavailable."""
    partition = choose_partition(ask.anchor, ask.owner, ask.claim)
    response = _place(build_echo(ask, request), ids.new_id(ids.RESPONSE, partition), ask.anchor)
    items = await build_items(
        ask.input, partition, owner=ask.owner, conversations=ports.conversations, files=ports.files
    )
    return Draft(
        response=response,
        model_request=request,
        input=items,
        anchor=ask.anchor,
        claim=ask.claim,
        unanswered=find_unanswered(items),
        model_input=measure(
            instructions=ask.instructions,
            tools=with_found_tools(request, items).offered,
            new_input=items,
            budget_tokens=ports.defaults.get_history_tokens(ask),
            calibration=ports.calibration.get_factor(request.model, owner=ask.owner),
        ),
        last_opening_number=len(Narration(response).opening()) - 1,
        reader_id=new_reader(response.id).id,
    )


def _brief(draft: Draft, admitted: Admitted, *, owner: str) -> Brief:
    narration = Narration(admitted.response)
    return Brief(
        response=admitted.response,
        owner=owner,
        epoch=admitted.epoch,
        input=draft.input,
        window=admitted.window,
        model_request=draft.model_request,
        model_input=admitted.model_input,
        opening=narration.opening(),  # admission has written them down
        narration=narration,
    )


def choose_partition(anchor: Anchor, owner: str, claim: Claim) -> str:
    """Where the response is born: with what it continues; else where a retry with the same key looks for it."""
    if anchor is not None:
        return ids.get_partition(anchor.id)
    if claim.idempotency_key is not None:
        return ids.find_partition(f"{owner} {claim.idempotency_key}")
    return ids.new_partition()


async def check_model(model_id: str, model: ChatModel) -> None:
    """Refuse an unknown model before anything is stored: some servers answer to any name. Raises NotFound."""
    await get_model(model_id, model)


def _place(echo: Response, response_id: str, anchor: Anchor) -> Response:
    match anchor:
        case InConversation(conversation_id):
            return replace(echo, id=response_id, conversation=ConversationRef(conversation_id))
        case AfterResponse(previous_id):
            return replace(echo, id=response_id, previous_response_id=previous_id)
    return replace(echo, id=response_id)

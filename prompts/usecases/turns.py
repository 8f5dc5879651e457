"""Use case: a turn, from the ask to the delivered answer, over whichever transport.

`create_turn` admits it and starts its run. What its client is then given is one of three: `follow_turn` (the events as
they come), `wait_for_answer` (the ended response), `get_queued` (a background response as it begins).
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from prompts.answer.events import Event
from prompts.domain.anchors import Anchor
from prompts.domain.model_request import ModelRequest
from prompts.errors import FailedEarlier, InvalidRequest, NotFound, unknown_previous_response
from prompts.ports.calibration import Calibration
from prompts.ports.chat_model import ChatModel
from prompts.ports.conversations import ConversationStore
from prompts.ports.event_log import EventLog
from prompts.ports.prompts import NO_PROMPTS, PublishedPrompts
from prompts.ports.quotas import UNLIMITED, Quotas
from prompts.ports.reader_marks import Reader
from prompts.ports.responses import Admitted, Attached, ResponseStore
from prompts.ports.token_meter import NO_TOKEN_LIMITS, TokenLimits, TokensLeft
from prompts.ports.tracing import UNTRACED, Tracing
from prompts.ports.vector_stores import VectorStores
from prompts.run.followers import Followers
from prompts.run.following import follow_log, follow_response
from prompts.run.guarded_model import GuardedModel
from prompts.run.outlet import Outlet
from prompts.run.quiet import Quiet
from prompts.run.run import Run
from prompts.run.runner import Runner
from prompts.usecases.admission import Admission
from prompts.usecases.ask import Ask, Defaults, build_model_request
from prompts.usecases.files import FilePorts
from prompts.usecases.models import get_model
from prompts.usecases.passages import check_searched
from prompts.usecases.plans import Plan, brief_run, plan_turn
from prompts.usecases.prompting import apply_prompt, place_default, place_variable
from prompts.usecases.remembered import HistoryLimits, Remembered, remember
from prompts.usecases.turn_tokens import admit_metered, plan_tokens

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


class Turn(Struct, frozen=True):
    """The response that a request belongs to: `run` when this process writes it, and whether the request made it."""

    response_id: str
    owner: str
    run: Run | None
    anchor: Anchor
    """What is stored of the history that it continues."""
    is_replay: bool
    is_stored: bool
    reader: Reader
    """Whoever sent the request; admission has marked it."""
    tokens_left: TokensLeft | None = None
    """What is left of a minute's tokens, with those that this turn may need taken; None where they have no limit."""


async def create_turn(
    ask: Ask, ports: TurnPorts, *, before: Remembered | None = None, limits: TokenLimits = NO_TOKEN_LIMITS
) -> Turn:
    """Admit a response and start its run, which goes on whatever becomes of the caller; a retry gets the first one's.

    `before` is the response that the ask's anchor names, when a connection remembers it. What is stored after it takes
    its history over, as input of its own. With `if_busy` "wait" it may take a while; a caller who is cancelled
    meanwhile leaves nothing behind. With `limits` the turn's tokens are reserved before its admission.
    Raises NotFound (model, conversation, previous response, item, file, vector store, prompt), InvalidRequest (what a
    file holds, a variable), ConversationLocked, ResponseNotEnded, KeyReused, UnknownCall, UpstreamUnavailable,
    Draining, Overloaded, RateLimited, QuotaExceeded, StorageFull, Unavailable.
    """
    said = ask
    ask = await apply_prompt(said, ports.prompts)
    limits = NO_TOKEN_LIMITS if ask.is_warm_up else limits
    request = _build_request(ask, ports, is_metered=limits.has_any)
    if ask.store is not False:
        ports.quotas.check(ask.owner)
    try:
        await _check_named(ask, request, ports)
    except NotFound as error:
        place_default(error, said)
        raise
    try:
        plan = await plan_turn(
            ask,
            request,
            before=before,
            defaults=ports.defaults,
            conversations=ports.conversations,
            files=ports.files,
            calibration=ports.calibration,
        )
    except InvalidRequest as error:
        place_variable(error, ask)
        raise
    admission = Admission(ask.owner, ports.store, ports.event_log, ports.runner, ports.followers)
    begin = partial(_begin, ask, plan_tokens(plan, limits), admission, ports)
    match ask.if_busy:
        case None if not ask.claim.is_retry:  # a retry of what was left attaches
            return await admission.when_left(begin)
        case "wait":
            return await admission.when_free(begin)
    return await begin()


def _build_request(ask: Ask, ports: TurnPorts, *, is_metered: bool) -> ModelRequest:
    request = build_model_request(ask, ports.defaults)
    if traceparent := ports.tracing.find_traceparent():
        request = replace(request, traceparent=traceparent)
    return replace(request, is_metered=True) if is_metered else request


async def _check_named(ask: Ask, request: ModelRequest, ports: TurnPorts) -> None:
    """Raises NotFound (model, vector store), UpstreamUnavailable."""
    await check_model(request.model, ports.model)
    if ask.claim.idempotency_key is None and not ask.claim.is_retry and not ask.is_warm_up:
        # A retry may belong to a response that is there already: admission says so.
        ports.model.check()
        if ports.vector_stores is not None:
            await check_searched(request, owner=ask.owner, stores=ports.vector_stores)


async def _begin(ask: Ask, plan: Plan, admission: Admission, ports: TurnPorts, met_id: str = "") -> Turn:
    runner, draft, is_stored = ports.runner, plan.draft, ask.store is not False
    with runner.reserve(ask.owner):
        admitted, left = await admit_metered(plan, admission, partial(_admit, ask, plan, admission, met_id))
        is_replay = isinstance(admitted, Attached)
        if isinstance(admitted, Attached):
            response_id, run = admitted.response_id, runner.find(admitted.response_id)
        else:
            response_id, run = draft.response.id, runner.start(brief_run(plan, admitted, owner=ask.owner))
    reader = Reader(response_id, draft.reader_id)
    return Turn(
        response_id,
        ask.owner,
        run,
        draft.anchor,
        is_replay=is_replay,
        is_stored=is_stored,
        reader=reader,
        tokens_left=left,
    )


async def _admit(ask: Ask, plan: Plan, admission: Admission, met_id: str) -> Admitted | Attached:
    draft, tokens = plan.draft, plan.history_tokens
    try:
        return await admission.admit(draft, if_busy=ask.if_busy, history_tokens=tokens, met_id=met_id)
    except NotFound as error:
        if draft.anchor == ask.anchor or draft.response.previous_response_id is None:
            raise
        # The stored response behind what is remembered is gone; the client has named another one.
        raise unknown_previous_response(draft.response.previous_response_id) from error


def follow_turn(
    turn: Turn, ports: TurnPorts, *, quiet_s: float, outlet: Outlet | None = None
) -> AsyncGenerator[Sequence[Event], None]:
    """The events from the first one on, in groups; an empty group whenever nothing was told for `quiet_s`.

    What goes out through `outlet` is not told here.
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
        outlet=outlet,
    )
    return events if turn.is_stored else _discard_after(events, turn, ports)


async def _discard_after(
    events: AsyncGenerator[Sequence[Event], None], turn: Turn, ports: TurnPorts
) -> AsyncGenerator[Sequence[Event], None]:
    try:
        async with aclosing(events):
            async for group in events:
                yield group
    finally:
        ports.runner.discard(turn.response_id)


def remember_turn(turn: Turn, *, before: Remembered | None, limits: HistoryLimits) -> Remembered | None:
    """What its connection remembers of a turn that was followed to its end; None of what failed or was taken away."""
    outcome = turn.run.outcome if turn.run is not None else None
    if turn.is_stored or outcome is None or outcome.failure is not None:
        return None
    return remember(turn.response_id, outcome.items, anchor=turn.anchor, before=before, limits=limits)


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
        turn.run.expect_no_reader()
        return encode(replace(turn.run.response, status="queued"))
    return (await ports.store.get(turn.response_id, owner=turn.owner)).body


async def _wait(turn: Turn, ports: TurnPorts) -> bytes:
    run = turn.run
    if run is not None:
        run.expect_no_reader()
        await run.wait()
        if run.error is not None:
            raise run.error
        if run.outcome is not None:
            return run.outcome.result
    events = follow_log(
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


async def check_model(model_id: str, model: ChatModel) -> None:
    """Refuse an unknown model before anything is stored: some servers answer to any name. Raises NotFound."""
    await get_model(model_id, model)

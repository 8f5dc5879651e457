"""The end of a response: computed here, whoever ends it."""

import time
from collections.abc import Sequence

import structlog
from msgspec import UNSET, Struct
from msgspec.structs import replace

from prompts.answer.events import Event, Narration, encode
from prompts.domain.items import Item
from prompts.domain.responses import ModelInput, Response, ResponseError
from prompts.domain.signals import Finished, Signal, pack
from prompts.domain.usage import Usage
from prompts.errors import BrokenRecord, ReplicaLost, ServiceError, StaleRun, Unavailable
from prompts.history.account import calibrate, with_passages
from prompts.ports.event_log import BEHIND_ALL, EventLog, Group
from prompts.ports.observer import UNOBSERVED, EndedOutsideRun, Observer
from prompts.ports.responses import Failure, Outcome, ResponseStore, Seized, Unreadable
from prompts.ports.token_meter import UNMETERED, TokenMeter
from prompts.run.log_reader import read_entries
from prompts.run.metering import count_used, find_reservation
from prompts.run.usage import sum_usage

log = structlog.get_logger(__name__)

LOST = ReplicaLost("The replicas that wrote this answer were lost. Send the input again.")


class Conclusion(Struct, frozen=True):
    """The end of a response: what the commit writes, and the events that are told when it is written."""

    outcome: Outcome
    last: Group
    events: Sequence[Event]


def conclude(
    narration: Narration,
    *,
    given: Sequence[Item],
    account: ModelInput,
    now_s: int,
    untold: Sequence[Signal] = (),
    signals: Sequence[Signal] = (),
    finished: Finished | None = None,
    error: ServiceError | None = None,
    first_token_ms: int | None = None,
) -> Conclusion:
    """End it as it stands: `failed` with the error, as the model `finished`, or with neither `cancelled`.

    `signals` are the last that the log lacks; so are `untold` before them, which the narration knows. `given` is the
    response's own input. A response that failed leaves its timeline where it was.
    """
    after = narration.next_number - 1
    events = narration.tell(signals)
    told = ResponseError(error.response_code, error.message) if error else None
    ended = narration.end(completed_at=now_s, finished=finished, error=told)
    usage, is_estimated = sum_usage(narration, account, finished=finished, error=error)
    account = with_passages(account, narration.passages, dropped=[found.dropped for found in narration.searches])
    ended = replace(ended, model_input=calibrate(account), usage=usage, usage_estimated=True if is_estimated else UNSET)
    result = encode(ended)
    events += narration.closing(ended, result)
    items = [] if error else [*given, *narration.list_kept(ended.output)]
    failure = describe(error) if error else None
    outcome = Outcome(ended, result, items, failure, narration.passages, first_token_ms)
    last = [finished] if finished else []
    packed = pack([*untold, *signals, *last])
    return Conclusion(outcome, Group(after, events[-1].sequence_number, packed), events)


def conclude_unread(response: Response, *, error: ServiceError | None, last: Group = BEHIND_ALL) -> Conclusion:
    """End a response of which something cannot be read or written: without its output, on whatever its log holds.

    `failed` with the error, without one `cancelled`.
    """
    told = ResponseError(error.response_code, error.message) if error else None
    ended = replace(
        response,
        status="failed" if error else "cancelled",
        error=told,
        output=[],
        usage=Usage(0, 0, 0),
        usage_estimated=True,
    )
    try:
        result = encode(ended)
    except Exception:  # what cannot be written is something of the request that it repeats
        log.exception("echo_unwritable", response_id=response.id)
        ended = Response(
            id=ended.id,
            created_at=ended.created_at,
            status=ended.status,
            model=ended.model,
            previous_response_id=ended.previous_response_id,
            conversation=ended.conversation,
            store=ended.store,
            background=ended.background,
            error=told,
            usage=ended.usage,
            usage_estimated=True,
        )
        result = encode(ended)
    terminal = Narration(ended, next_number=last.last_number).closing(ended, result)
    return Conclusion(Outcome(ended, result, [], describe(error) if error else None), last, terminal)


async def conclude_cancelled(seized: Seized | Unreadable, *, event_log: EventLog) -> Conclusion:
    """The end of a response that is cancelled, with what can be read of it. Raises Unavailable."""
    if isinstance(seized, Seized):
        try:
            narration = await retell(seized.response, event_log=event_log)
            return conclude(narration, given=seized.input, account=seized.model_input, now_s=int(time.time()))
        except Exception as error:
            if is_passing(error):
                raise
            log.exception("end_crashed", response_id=seized.response.id)
    return conclude_unread(seized.response, error=None)


async def end_unread(
    seized: Seized | Unreadable,
    *,
    store: ResponseStore,
    observer: Observer = UNOBSERVED,
    error: ServiceError | None = None,
) -> Outcome:
    """End a seized response that cannot be read, or whose end cannot be written as it should be.

    Raises StaleRun when another was quicker, Unavailable.
    """
    conclusion = conclude_unread(seized.response, error=error)
    await store.commit(conclusion.outcome, conclusion.last, owner=seized.owner, epoch=seized.epoch)
    ended = conclusion.outcome.response
    log.error("response_ended_unread", response_id=ended.id, status=ended.status)
    observer.notice(EndedOutsideRun(ended.id, ended.model, ended.status, error.code if error else None))
    return conclusion.outcome


async def end_cancelled(
    seized: Seized | Unreadable,
    *,
    store: ResponseStore,
    event_log: EventLog,
    observer: Observer = UNOBSERVED,
    meter: TokenMeter = UNMETERED,
) -> Outcome:
    """End a response that its owner has cancelled, with what can be read of it. Raises as `end_seized`."""
    if isinstance(seized, Seized):
        try:
            narration = await retell(seized.response, event_log=event_log)
            return await end_seized(seized, narration, store=store, observer=observer, meter=meter)
        except Exception as error:
            if is_passing(error):
                raise
            log.exception("end_crashed", response_id=seized.response.id)
    return await end_unread(seized, store=store, observer=observer)


def is_passing(error: Exception) -> bool:
    """Whether it says nothing of the response that was to be ended: another was quicker, or Redis is away."""
    return isinstance(error, StaleRun) or (isinstance(error, Unavailable) and not isinstance(error, BrokenRecord))


async def end_seized(
    seized: Seized,
    narration: Narration,
    *,
    store: ResponseStore,
    observer: Observer = UNOBSERVED,
    meter: TokenMeter = UNMETERED,
    finished: Finished | None = None,
    error: ServiceError | None = None,
) -> Outcome:
    """End a response from outside its run: cancelled by its owner, or lost for good. See `conclude`.

    Its epoch has risen, so that the log stands still. Raises StaleRun when another was quicker, TailLost, Unavailable.
    """
    conclusion = conclude(
        narration,
        given=seized.input,
        account=seized.model_input,
        now_s=int(time.time()),
        finished=finished,
        error=error,
    )
    await store.commit(conclusion.outcome, conclusion.last, owner=seized.owner, epoch=seized.epoch)
    await settle_seized(seized, conclusion.outcome, meter=meter)
    ended, model, code = conclusion.outcome.response, seized.model_request.model, error.code if error else None
    observer.notice(EndedOutsideRun(ended.id, model, ended.status, code))
    return conclusion.outcome


async def settle_seized(seized: Seized | Unreadable, outcome: Outcome, *, meter: TokenMeter) -> None:
    """Settle what was reserved for a response that is ended from outside its run. Raises nothing.

    What cannot be read says nothing of its tokens: its reservation ends by itself.
    """
    if isinstance(seized, Seized):
        reservation = find_reservation(seized.response, seized.model_request, owner=seized.owner, meter=meter)
        if reservation is not None:
            await reservation.settle(count_used(outcome.response.usage))


async def retell(response: Response, *, event_log: EventLog) -> Narration:
    """The narration of a response, told again from its log. Raises StreamExpired, Unavailable."""
    narration = Narration(response)
    narration.opening()
    async for entry in read_entries(event_log, response.id, after=narration.next_number - 1):
        narration.tell(entry.signals, is_group=True)
    return narration


def describe(error: ServiceError) -> Failure:
    """The error as it is stored for retries of the request."""
    return Failure(error.code, error.type, error.status, error.message, error.retry_after_s)

"""The end of a response: computed here, whoever ends it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import replace

from prompts.answer.events import Event, Narration, encode
from prompts.domain.items import Item
from prompts.domain.responses import ModelInput, Response, ResponseError
from prompts.domain.signals import Finished, Signal, pack
from prompts.errors import ReplicaLost, ServiceError
from prompts.history.account import calibrate
from prompts.ports.event_log import EventLog, Group
from prompts.ports.observer import UNOBSERVED, EndedOutsideRun, Observer
from prompts.ports.responses import Failure, Outcome, ResponseStore, Seized
from prompts.run.log_reader import read_slices
from prompts.run.usage import sum_usage

LOST = ReplicaLost("The replicas that wrote this answer were lost. Send the input again.")


@dataclass(frozen=True, slots=True)
class Conclusion:
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
    signals: Sequence[Signal] = (),
    finished: Finished | None = None,
    error: ServiceError | None = None,
) -> Conclusion:
    """End it as it stands: `failed` with the error, as the model `finished`, or with neither `cancelled`.

    `signals` are the last that the log lacks, `given` is the response's own input. A response that failed leaves its
    timeline where it was.
    """
    after = narration.next_number - 1
    events = narration.tell(signals)
    told = ResponseError(error.response_code, error.message) if error else None
    ended = narration.end(completed_at=now_s, finished=finished, error=told)
    usage, is_estimated = sum_usage(narration, account, finished=finished, error=error)
    ended = replace(ended, model_input=calibrate(account), usage=usage, usage_estimated=True if is_estimated else UNSET)
    result = encode(ended)
    events += narration.closing(ended, result)
    items = [] if error else [*given, *narration.list_kept(ended.output)]
    outcome = Outcome(ended, result, items, describe(error) if error else None)
    packed = pack([*signals, finished] if finished else signals)
    return Conclusion(outcome, Group(after, events[-1].sequence_number, packed), events)


async def end_seized(
    seized: Seized,
    narration: Narration,
    *,
    store: ResponseStore,
    observer: Observer = UNOBSERVED,
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
    ended, model, code = conclusion.outcome.response, seized.model_request.model, error.code if error else None
    observer.notice(EndedOutsideRun(ended.id, model, ended.status, code))
    return conclusion.outcome


async def retell(response: Response, *, event_log: EventLog) -> Narration:
    """The narration of a response, told again from its log. Raises StreamExpired, Unavailable."""
    narration = Narration(response)
    narration.opening()
    async for entry in read_slices(event_log, response.id, after=narration.next_number - 1):
        narration.tell(entry.signals)
    return narration


def describe(error: ServiceError) -> Failure:
    """The error as it is stored for retries of the request."""
    return Failure(error.code, error.type, error.status, error.message, error.retry_after_s)

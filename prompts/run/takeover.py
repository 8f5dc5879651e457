"""Taking over: a response whose replica died, or handed it over, goes on here, on the same log.

The model continues the text that is shown already; whatever cannot be continued honestly is begun again only when
nothing of it was shown, and else ends as `failed` with what there is (docs/architecture.md, "What happens at a loss").
"""

import structlog

from prompts.answer.events import Narration
from prompts.answer.pieces import Pieces
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Finished
from prompts.domain.text import PlainText
from prompts.errors import Draining, Overloaded, ReplicaLost, StaleRun
from prompts.ports.event_log import EventLog
from prompts.ports.responses import ResponseStore, Seized, Unreadable
from prompts.run.answering import count_left
from prompts.run.brief import Brief
from prompts.run.ending import LOST, end_seized, end_unread, is_passing, retell
from prompts.run.metering import find_reservation
from prompts.run.runner import Runner
from prompts.run.usage import estimate_lost

log = structlog.get_logger(__name__)

# Runs that one response may lose: an answer that kills its replicas must end.
MAX_ATTEMPTS = 3

BROKEN = ReplicaLost("A fail-over of the store has lost a part of this answer. Send the input again.")
NOT_CONTINUABLE = ReplicaLost(
    "The replica that wrote this answer was lost where it cannot go on. Send the input again."
)


async def take_over(response_id: str, *, store: ResponseStore, event_log: EventLog, runner: Runner) -> None:
    """Go on with a response whose lease has expired, or end it; nothing when another replica was quicker.

    A replica that is leaving or full leaves it to others. Raises Unavailable.
    """
    try:
        with runner.reserve(is_new=False):
            seized = await store.seize(response_id, owner=None, lease_s=runner.limits.lease_s)
            if isinstance(seized, (Seized, Unreadable)) and not seized.response.store:
                await store.discard(response_id)  # its client was connected to the lost replica
                await _give_back(seized, runner)
            elif isinstance(seized, (Seized, Unreadable)):
                await _go_on_or_end(seized, store=store, event_log=event_log, runner=runner)
    except (Draining, Overloaded, StaleRun):
        return


async def _give_back(seized: Seized | Unreadable, runner: Runner) -> None:
    """What was reserved for a response that is discarded with its replica: nobody knows what it has used."""
    if isinstance(seized, Seized):
        found = find_reservation(seized.response, seized.model_request, owner=seized.owner, meter=runner.meter)
        if found is not None:
            await found.settle(0)


async def _go_on_or_end(
    seized: Seized | Unreadable, *, store: ResponseStore, event_log: EventLog, runner: Runner
) -> None:
    """Whatever goes wrong with a response counts as an attempt; behind the last one it is ended, read or not."""
    try:
        if isinstance(seized, Seized):
            await _go_on(seized, store=store, event_log=event_log, runner=runner)
            return
    except Exception as error:
        if is_passing(error):
            raise
        log.exception("takeover_crashed", response_id=seized.response.id, attempt=seized.attempts)
    if seized.ending == "cancelled":
        await end_unread(seized, store=store, observer=runner.observer)
    elif seized.ending or seized.attempts > MAX_ATTEMPTS:
        await end_unread(seized, store=store, observer=runner.observer, error=LOST)


async def _go_on(seized: Seized, *, store: ResponseStore, event_log: EventLog, runner: Runner) -> None:
    narration = await retell(seized.response, event_log=event_log)
    pieces = narration.find_open_text()
    if seized.ending == "cancelled":
        await end_seized(seized, narration, store=store, observer=runner.observer, meter=runner.meter)
    elif error := _find_error(seized, pieces):
        await end_seized(seized, narration, store=store, observer=runner.observer, meter=runner.meter, error=error)
        log.warning("response_lost", response_id=seized.response.id, owner=seized.owner, attempts=seized.attempts)
    elif not _has_room(seized.model_request, narration, len(pieces or ())):
        await end_seized(
            seized, narration, store=store, observer=runner.observer, meter=runner.meter, finished=Finished("length")
        )
    else:
        runner.start(_brief(seized, narration))
        shown = len(pieces or ())
        log.info("response_taken_over", response_id=seized.response.id, attempt=seized.attempts, shown=shown)


def _find_error(seized: Seized, pieces: Pieces | None) -> ReplicaLost | None:
    """Why it cannot go on: no model can be trusted to go on in the middle of a call or of a JSON document."""
    if seized.ending == "failed":
        return BROKEN
    if seized.attempts > MAX_ATTEMPTS:
        return LOST
    is_form = not isinstance(seized.model_request.text.format, PlainText)
    return NOT_CONTINUABLE if pieces is None or (pieces and is_form) else None


def _has_room(request: ModelRequest, narration: Narration, shown_tokens: int) -> bool:
    left = count_left(request, narration.rounds, shown_tokens)
    return left is None or left > 0


def _brief(seized: Seized, narration: Narration) -> Brief:
    return Brief(
        response=seized.response,
        owner=seized.owner,
        epoch=seized.epoch,
        input=seized.input,
        window=seized.window,
        model_request=seized.model_request,
        model_input=seized.model_input,
        narration=narration,
        lost=estimate_lost(narration, seized.model_input),
    )

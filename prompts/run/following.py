"""Following a response, wherever it is written: from memory when its run is here, from its log when it is not.

Both tell the same events, byte for byte, from any number on: `Narration` makes them from the same signals.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from prompts.answer.events import Event
from prompts.ports.event_log import EventLog
from prompts.ports.reader_marks import Reader
from prompts.ports.responses import ResponseStore
from prompts.run.followers import Followers, new_reader
from prompts.run.log_follower import LogFollower
from prompts.run.outlet import Outlet
from prompts.run.quiet import Quiet
from prompts.run.run import Run
from prompts.run.shared_events import ResponsesInUse, SharedEvents


async def follow_response(
    response_id: str,
    *,
    owner: str,
    after: int = -1,
    quiet_s: float,
    run: Run | None,
    store: ResponseStore,
    event_log: EventLog,
    followers: Followers,
    marked: Reader | None = None,
    outlet: Outlet | None = None,
) -> AsyncGenerator[Sequence[Event], None]:
    """Events above `after` to the terminal one, in groups; an empty group whenever nothing was told for `quiet_s`.

    `run` is the response's own, when this process writes it. `marked` is a reader whom admission has marked already.
    What goes out through `outlet` is not told here.
    When its replica dies there is a pause, and the events go on as soon as another one has taken it over.
    The first group comes at once, an empty one when there is nothing above `after` yet.
    Raises NotFound, StreamExpired, InvalidRequest (`after` lies beyond what has been said), Unavailable: before the
    first group; in the middle when the response is deleted meanwhile, when Redis stays away, or as Draining when this
    process can wait no longer.
    """
    reader = marked or new_reader(response_id)
    with followers.join(reader, is_here=run is not None):
        if marked is None:
            await followers.mark(reader)
        quiet = Quiet(quiet_s)
        # A reader who comes from another replica may have seen events whose acknowledgement this process still awaits.
        own = run if run is not None and after <= run.last_number else None
        if own is not None:
            if after == own.last_number:
                yield ()
            with own.listen(after=after, quiet=quiet, outlet=outlet) as listener:
                while (events := await listener.read()) is not None:
                    yield events
            if own.outcome is not None and own.last_number == listener.after:
                return
            after = listener.after
        rest = follow_log(
            response_id,
            owner=owner,
            after=after,
            quiet=quiet,
            run=own,
            store=store,
            event_log=event_log,
            followers=followers,
        )
        async for events in rest:
            yield events


async def follow_log(
    response_id: str,
    *,
    owner: str,
    after: int = -1,
    quiet: Quiet,
    run: Run | None,
    store: ResponseStore,
    event_log: EventLog,
    followers: Followers,
) -> AsyncIterator[Sequence[Event]]:
    """`follow_response` from the log alone, for a reader who has joined. `run` is one that was followed before."""
    shared = await _share(response_id, owner, run, event_log=event_log, in_use=followers.in_use)
    reading = LogFollower(
        shared,
        owner,
        after,
        store=store,
        event_log=event_log,
        pace=followers.pace,
        telling=followers.telling,
        has_begun=run is not None,
    )
    async with event_log.watch(response_id) as watch:
        while True:
            async for events in reading.read():
                quiet.restart()
                yield events
            if reading.is_over:
                return
            followers.check()
            if not (reading.has_begun and quiet.left_s):  # the first group comes at once
                reading.has_begun = True
                quiet.restart()
                yield ()
            await watch.wait(min(followers.pace.look_s, quiet.left_s))


async def _share(
    response_id: str, owner: str, run: Run | None, *, event_log: EventLog, in_use: ResponsesInUse
) -> SharedEvents:
    """A function of its own, so that no reader holds an echo of its own."""
    if shared := in_use.find(owner, response_id):
        return shared
    echo = await event_log.get_echo(response_id, owner=owner) if run is None else run.response
    return in_use.share(owner, echo)

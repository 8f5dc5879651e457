"""Our application with one part taken away by itself, to see what that part costs: `make bench WHY=1`.

The part is named in `WITHOUT`. Never for production: without these parts promises are broken.
"""

import asyncio
import gc
import os
from typing import Any

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from config.asgi import application as whole
from prompts.adapters.openai.rounds import Rounds
from prompts.adapters.redis.response_store import RedisResponseStore
from prompts.ports.event_log import BEHIND_ALL

APPLICATION = "benchmarks.without:application"
LOG, FREEZING, ROUNDS = "log", "freezing", "rounds"


def take_away_log() -> None:
    """Groups of a log are acknowledged at once, and written nowhere. Needs a `LEASE_S` longer than any answer.

    The end is written as that of a log that cannot be read: it does not ask for what lies before.
    """
    whole_commit = RedisResponseStore.commit

    def append(_store: Any, _response_id: str, _group: Any, **_: Any) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def hand(_store: Any, _response_id: str, _group: Any, *, tell: Any, **_: Any) -> None:
        asyncio.get_running_loop().call_soon(tell, None)

    async def commit(store: Any, outcome: Any, _last: Any, **names: Any) -> None:
        await whole_commit(store, outcome, BEHIND_ALL, **names)

    # The service itself has no switch for what it promises.
    RedisResponseStore.append = append  # type: ignore[method-assign, assignment]  # replaced on purpose, loosely typed
    RedisResponseStore.hand = hand  # type: ignore[method-assign, assignment]  # replaced on purpose, too
    RedisResponseStore.commit = commit  # type: ignore[method-assign, assignment]  # likewise


def take_away_freezing() -> None:
    """The garbage collector as Python leaves it: it looks through what imports have made, again and again."""
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    gc.enable()


def take_away_rounds() -> None:
    """The event loop reads each stream of a model by itself, however many there are."""

    def join(*_: Any) -> None:
        """Nothing."""

    Rounds.join = join  # type: ignore[method-assign, assignment]  # replaced on purpose


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """`config.asgi`, without the part; a worker has done all else that it does at its start."""
    if scope["type"] == "lifespan":
        parts = {LOG: take_away_log, FREEZING: take_away_freezing, ROUNDS: take_away_rounds}
        parts[os.environ["WITHOUT"]]()
    await whole(scope, receive, send)

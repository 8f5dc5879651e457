"""What is counted instead of timed: commands and reads of a Valkey, tasks, timers and steps of an event loop, calls."""

import asyncio
import inspect
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from redis import Redis

from tests.support.servers import ValkeyServer

RESUMABLE = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


@dataclass
class Counted:
    """Filled in when its context ends."""

    connections: int = 0
    commands: int = 0
    reads: int = 0
    """What the server has read at once: as many as the client's writes, unless they are large."""
    calls: dict[str, int] = field(default_factory=dict)
    """By command, those of scripts included."""


@contextmanager
def counting(server: ValkeyServer) -> Iterator[Counted]:
    """By how much the server's own counters grow."""
    counted = Counted()
    with closing(Redis(port=server.port)) as admin:
        admin.ping()
        admin.config_resetstat()
        yield counted
        stats: Any = admin.info("stats")
        commands: Any = admin.info("commandstats")
    counted.connections = stats["total_connections_received"]
    counted.reads = stats["total_reads_processed"] - 1  # ours
    # The reset is counted, too.
    counted.commands = stats["total_commands_processed"] - 1
    counted.calls = {name.removeprefix("cmdstat_"): told["calls"] for name, told in commands.items()}


@dataclass
class Work:
    """What an event loop was given."""

    tasks: list[str] = field(default_factory=list)
    timers: list[float] = field(default_factory=list)


@contextmanager
def counting_work() -> Iterator[Work]:
    """The tasks and timers that are made in this event loop."""
    loop = asyncio.get_running_loop()
    work = Work()
    call_at = loop.call_at

    def make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        work.tasks.append(repr(coroutine))
        return asyncio.Task(coroutine, loop=loop, **options)

    def set_timer(when: float, *args: Any, **options: Any) -> asyncio.TimerHandle:
        work.timers.append(when)
        return call_at(when, *args, **options)

    vars(loop)["call_at"] = set_timer
    loop.set_task_factory(make_task)
    try:
        yield work
    finally:
        loop.set_task_factory(None)
        del vars(loop)["call_at"]


@contextmanager
def counting_generators() -> Iterator[list[str]]:
    """The asynchronous generators that begin in this thread, by their names."""
    begun: list[str] = []
    hooks: Any = sys.get_asyncgen_hooks()

    def note(generator: Any) -> None:
        begun.append(generator.__qualname__)
        if hooks.firstiter is not None:
            hooks.firstiter(generator)

    sys.set_asyncgen_hooks(firstiter=note)
    try:
        yield begun
    finally:
        sys.set_asyncgen_hooks(firstiter=hooks.firstiter)


@contextmanager
def counting_resumes() -> Iterator[Counter[str]]:
    """How often each coroutine and generator is begun or gone on with, by its module and name."""
    with counting_functions(RESUMABLE) as resumed:
        yield resumed


@contextmanager
def counting_functions(flags: int = -1) -> Iterator[Counter[str]]:
    """How often each Python function, of those with one of these flags, is called, by its module and name."""
    called: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_flags & flags:
            called[f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"] += 1

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


@dataclass
class Calls:
    """How often Python functions, and functions written in C, were called in this thread; generators count each time
    they go on."""

    count: int = 0

    def note(self, _frame: FrameType, event: str, _arg: object) -> None:
        """For `sys.setprofile`."""
        if event in ("call", "c_call"):
            self.count += 1


@contextmanager
def counting_calls() -> Iterator[Calls]:
    """The calls that are made inside the context."""
    calls = Calls()
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(None)

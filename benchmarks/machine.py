"""Which core a process has, and what the kernel says it has used."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import psutil

# The server under test has the first core alone; the load, the model and Redis have the others.
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
SERVER_CORES = {min(CORES)}
PACKAGES = ("Django", "fastapi", "uvicorn", "uvloop", "pydantic", "msgspec", "openai", "redis", "hiredis")
# A server that takes not one tick of the kernel's clock in this time rests. Two hundred rests are a minute in all.
LOOK_S = 0.1
TICK_S = 0.01


def can_pin() -> bool:
    """Whether there are cores to tell apart."""
    return len(CORES) > 1


def leave_server_core() -> None:
    """From here on this process, and what it starts, has the other cores; on a machine with one core, that one."""
    if can_pin():
        os.sched_setaffinity(0, CORES - SERVER_CORES)


@contextmanager
def on_server_core() -> Iterator[None]:
    """Processes that are started within the context have the core of the server under test."""
    if not can_pin():
        yield
        return
    os.sched_setaffinity(0, SERVER_CORES)
    try:
        yield
    finally:
        leave_server_core()


def list_tree(pid: int) -> list[psutil.Process]:
    """The process and its children."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def get_cpu_s(pid: int) -> float:
    """The CPU seconds that the process and its children have used so far."""
    times = [process.cpu_times() for process in list_tree(pid)]
    return float(sum(used.user + used.system for used in times))


def get_worker_mb(pid: int) -> float:
    """RSS of the worker: the largest of the process's children, or the process itself."""
    root, *children = list_tree(pid)
    return float(max(process.memory_info().rss for process in children or [root])) / 1e6


def wait_until_quiet(pid: int, *, within_s: float = 5.0) -> None:
    """Return when the process rests, or after this time: what clients have left may run on."""
    deadline = time.monotonic() + within_s
    used = get_cpu_s(pid)
    while time.monotonic() < deadline:
        time.sleep(LOOK_S)
        before, used = used, get_cpu_s(pid)
        if used - before < 0.5 * TICK_S:
            return


def describe_machine() -> list[str]:
    """What the figures depend on."""
    pinned = "the server under test has a core alone" if can_pin() else "one core: nothing pinned"
    return [
        f"{os.cpu_count()} cores",
        pinned,
        f"load {os.getloadavg()[0]:.2f} at the start",
        f"{platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}",
        *(f"{package} {version(package)}" for package in PACKAGES),
    ]

"""Stops the processes of a `make run` that was killed with SIGKILL.

It is a process of its own, in a session of its own. `make run` tells it through a pipe which process groups exist (`+
group grace`, `- group`). The pipe ends when `make run` ends. Then the reaper stops the groups that are left, in reverse
order: SIGTERM, and SIGKILL after the grace.

PR_SET_PDEATHSIG would be shorter. But it does not reach gunicorn's workers, works on Linux only, and stops everything
at once: gunicorn would drain without Valkey until its grace is over.

Run by path and isolated (`python -I -S orphan_reaper.py`): it starts in 15 ms and imports nothing of the project.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

POLL_S = 0.05


def watch(lines: Iterable[str]) -> dict[int, float]:
    """Read until the pipe ends. Returns the groups that are left, oldest first, with their grace in seconds."""
    graces: dict[int, float] = {}
    for line in lines:
        sign, group, *grace = line.split()
        if sign == "+":
            graces[int(group)] = float(grace[0])
        else:
            graces.pop(int(group), None)
    return graces


def stop_group(group: int, grace_s: float) -> None:
    """Send SIGTERM to the group, and SIGKILL after `grace_s` if a process is left."""
    deadline = time.monotonic() + grace_s
    is_there = _signal(group, signal.SIGTERM)
    while is_there and time.monotonic() < deadline:
        # They are not our children, so we cannot wait for their exit: poll.
        time.sleep(POLL_S)
        is_there = _signal(group, 0)
    _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Wait for the end of the pipe, then stop what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for group, grace_s in reversed(watch(sys.stdin).items()):
        stop_group(group, grace_s)


if __name__ == "__main__":
    main()

"""Stops what `make run` left behind, also when `make run` itself was killed with SIGKILL.

A process of its own, in a session of its own. It is told through a pipe which process groups exist (`+ group grace`,
`- group`); the end of the pipe is the end of the one who told. Then it stops, in reverse order, what was not signed
off: SIGTERM, and SIGKILL after the grace. PR_SET_PDEATHSIG would be shorter, but reaches neither gunicorn's workers
nor any system but Linux, and stops everything at once: gunicorn would drain for its whole grace without Valkey.

Run by path and isolated (`python -I -S orphan_reaper.py`): it starts in 15 ms and imports nothing of ours.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

POLL_S = 0.05


def watch(lines: Iterable[str]) -> dict[int, float]:
    """The groups that were not signed off when the pipe ended, with the seconds each may take, oldest first."""
    graces: dict[int, float] = {}
    for line in lines:
        sign, group, *grace = line.split()
        if sign == "+":
            graces[int(group)] = float(grace[0])
        else:
            graces.pop(int(group), None)
    return graces


def stop_group(group: int, grace_s: float) -> None:
    """SIGTERM to every process of the group, and SIGKILL to those that are there after `grace_s`."""
    deadline = time.monotonic() + grace_s
    is_there = _signal(group, signal.SIGTERM)
    while is_there and time.monotonic() < deadline:
        # Not our children: nobody wakes us when they end.
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
    """Wait for the end of the pipe, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for group, grace_s in reversed(watch(sys.stdin).items()):
        stop_group(group, grace_s)


if __name__ == "__main__":
    main()

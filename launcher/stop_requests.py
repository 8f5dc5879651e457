"""Notices when somebody asks `make run` to stop: a signal, a closed terminal, the death of `make`."""

import asyncio
import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@contextmanager
def watch_stop_requests(ask_to_stop: Callable[[str], None]) -> Iterator[None]:
    """Call `ask_to_stop` with the reason, once for each request; there may be several."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under `nohup` SIGHUP is ignored and must stay so.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, ask_to_stop, number.name)
    with ExitStack() as stack:
        if sys.platform == "linux":
            _die_with_make()
            stack.enter_context(_watch_terminal(lambda: ask_to_stop("The terminal was closed")))
        yield


def _die_with_make() -> None:
    """Have the kernel send us SIGTERM when `make` is killed: a killed make cannot pass a signal on."""
    if "MAKELEVEL" in os.environ:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _watch_terminal(hung_up: Callable[[], None]) -> Iterator[None]:
    """Call `hung_up` when the terminal is closed. The kernel sends SIGHUP only to make, its first process."""
    if not sys.stdin or not sys.stdin.isatty():
        yield
        return
    loop = asyncio.get_running_loop()
    with select.epoll() as terminal:
        terminal.register(sys.stdin.fileno(), 0)  # no events: a hang-up is always reported

        def end() -> None:
            loop.remove_reader(terminal.fileno())
            hung_up()

        loop.add_reader(terminal.fileno(), end)
        yield
        loop.remove_reader(terminal.fileno())

"""The ways to ask `make run` to stop: a signal, a closed terminal, the end of the `make` that started it."""

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
    """Call `ask_to_stop` with a word for each way in which somebody asks; several may come at once."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup make run` asked for SIGHUP to be ignored.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, ask_to_stop, number.name)
    with ExitStack() as stack:
        if sys.platform == "linux":
            _die_with_make()
            stack.enter_context(_watch_terminal(lambda: ask_to_stop("The terminal was closed")))
        yield


def _die_with_make() -> None:
    """SIGTERM for us when the `make` that started us is killed: it cannot pass that on."""
    if "MAKELEVEL" in os.environ:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _watch_terminal(hung_up: Callable[[], None]) -> Iterator[None]:
    """Call `hung_up` when the terminal is closed. The kernel tells its first process, which may be make."""
    if not sys.stdin or not sys.stdin.isatty():
        yield
        return
    loop = asyncio.get_running_loop()
    with select.epoll() as terminal:
        terminal.register(sys.stdin.fileno(), 0)  # nothing but the hang-up, which is always reported

        def end() -> None:
            loop.remove_reader(terminal.fileno())
            hung_up()

        loop.add_reader(terminal.fileno(), end)
        yield
        loop.remove_reader(terminal.fileno())

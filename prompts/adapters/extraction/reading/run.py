"""The process that reads one document: from its standard input, a file, to its standard output, lines of JSON.

Its limits are its own: of memory, of time, of what it writes. Whatever a document does to a library, it happens here.
"""

import ctypes
import logging
import resource
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from prompts.adapters.extraction.reading.blocks import Blocks, open_output
from prompts.ports.text_extractor import UnreadableFile

MB = 1024 * 1024
# Of the file that it writes: the longest text takes about 60 MB of JSON.
MAX_OUTPUT_BYTES = 160 * MB
MAX_OPEN_FILES = 64
PR_SET_PDEATHSIG = 1  # of Linux's <sys/prctl.h>
BROKEN = "The document is broken. Open it, save it again, and send that."
TOO_MUCH = "Reading the document takes more memory than it may. Split it, or send it in a simpler form."


def main(filename: str, max_mb: int, max_s: int) -> None:
    """Read the document; what it is called says less than what is in it."""
    _limit(max_mb, max_s)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    blocks = open_output()
    try:
        _read(filename, blocks)
    except UnreadableFile as error:
        blocks.fail(error)
    except MemoryError:
        blocks.fail(UnreadableFile("invalid_file", TOO_MUCH))
    except Exception as error:  # noqa: BLE001 -- what a library raises at a broken file: there is no list of it
        blocks.fail(UnreadableFile("invalid_file", BROKEN), cause=type(error).__name__)
    sys.stdout.buffer.flush()


def _read(filename: str, blocks: Blocks) -> None:
    # Under the limits, and not before them.
    from prompts.adapters.extraction.reading.kinds import read_document

    read_document(cast(IO[bytes], sys.stdin.buffer), filename, blocks)
    blocks.end()


def _limit(max_mb: int, max_s: int) -> None:
    limits = {
        resource.RLIMIT_CPU: max_s,
        resource.RLIMIT_FSIZE: MAX_OUTPUT_BYTES,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":  # elsewhere the system has no such limit
        limits[resource.RLIMIT_AS] = max_mb * MB
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))
    # Where memory is short, this process is the one to go: the service is in the same container.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    # Should whoever waits die, this ends all the same: at once, or where the system knows no such thing, soon.
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.alarm(2 * max_s)

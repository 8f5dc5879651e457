"""Reads documents, each in a process of its own: short-lived, with limits, and killed when its time is over."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import msgspec
import structlog

import prompts
from prompts.domain.passages import Block
from prompts.errors import Unavailable
from prompts.ports.text_extractor import UnreadableFile

log = structlog.get_logger(__name__)

ROOT = str(Path(prompts.__file__).resolve().parent.parent)
# It finds the packages of this environment by its interpreter, and our code by its place. `-I`: nothing of the
# environment's variables, of the working directory or of the user's own packages gets in.
PROGRAM = f"import sys; sys.path.insert(0, {ROOT!r}); from prompts.adapters.extraction.reading.run import main; "
CALL = "main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))"

MAX_MB = 512
MAX_S = 60
# Documents that a process of the service has read at once: each may keep a core busy.
AT_ONCE = 2


class _Failed(msgspec.Struct):
    """The last line of a reader: nothing, or why there is no text."""

    code: Literal["unsupported_file", "invalid_file"] | None = None
    message: str = ""
    is_whole: bool = False
    cause: str = ""


_decode_blocks = msgspec.json.Decoder(list[Block]).decode
_decode_end = msgspec.json.Decoder(_Failed).decode


class DocumentExtractor:
    """`TextExtractor` by processes."""

    def __init__(self, spool: Path, *, max_mb: int = MAX_MB, max_s: int = MAX_S, at_once: int = AT_ONCE) -> None:
        """`spool` is for the document and its text while they are read: files without a name."""
        self._spool = spool
        self._max_mb = max_mb
        self._max_s = max_s
        self._places = asyncio.Semaphore(at_once)

    async def extract(self, content: AsyncIterator[bytes], *, filename: str) -> Sequence[Block]:
        """See `TextExtractor.extract`."""
        async with self._places:
            try:
                with self._open_file() as document, self._open_file() as output:
                    async for piece in content:
                        await asyncio.to_thread(document.write, piece)
                    await asyncio.to_thread(_rewind, document)
                    status = await self._run(filename, document, output)
                    if status != 0:
                        log.info("document_reader_ended", status=status)
                    return await _read_blocks(output)
            except OSError as exc:
                raise Unavailable("The document cannot be read right now. Try again in a moment.") from exc

    def _open_file(self) -> IO[bytes]:
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=self._spool)

    async def _run(self, filename: str, document: IO[bytes], output: IO[bytes]) -> int:
        """Read the document to the end; gives the process's exit status. Raises UnreadableFile, OSError."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-B", "-c", PROGRAM + CALL),
            *(_shorten(filename), str(self._max_mb), str(self._max_s)),
            stdin=document,
            stdout=output,
            stderr=asyncio.subprocess.DEVNULL,  # its traceback may quote the document
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._max_s):
                return await process.wait()
        except TimeoutError:
            message = "Reading the document takes longer than it may. Split it, or send it in a simpler form."
            raise UnreadableFile("invalid_file", message) from None
        finally:
            if process.returncode is None:
                # The whole group: what a reader may have started goes with it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await asyncio.shield(process.wait())


def _rewind(document: IO[bytes]) -> None:
    document.flush()
    document.seek(0)


async def _read_blocks(output: IO[bytes]) -> Sequence[Block]:
    """What the reader wrote. Raises UnreadableFile."""
    output.seek(0)
    blocks: list[Block] = []
    while line := await asyncio.to_thread(output.readline):
        if line.startswith(b"["):
            blocks += _decode_blocks(line)
            continue
        end = _find_end(line)
        if end is not None and end.code is not None:
            log.info("document_not_read", code=end.code, cause=end.cause)
            raise UnreadableFile(end.code, end.message)
        if end is not None and end.is_whole:
            return blocks
        break
    # It was killed, by its limits or by a library's mistake.
    raise UnreadableFile("invalid_file", "Reading the document takes more than it may. Split it, or simplify it.")


def _find_end(line: bytes) -> _Failed | None:
    try:
        return _decode_end(line)
    except msgspec.DecodeError:
        return None


def _shorten(filename: str) -> str:
    """Its end, which says what it claims to be; a NUL is no argument."""
    return filename.replace("\x00", "")[-255:]

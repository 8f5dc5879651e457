"""Writes the lines of many processes to one stream as `name | line`, in colour on a terminal."""

from typing import TextIO

# Cyan, yellow, green, magenta, blue: readable on dark and on light backgrounds.
COLOURS = (36, 33, 32, 35, 34)


class Console:
    """Writes to one stream. It ignores a stream that was closed: `make run` must still stop its processes."""

    def __init__(self, stream: TextIO, names: list[str]) -> None:
        self._stream = stream
        self._width = max(map(len, names))
        self._colour_of = dict(zip(names, COLOURS, strict=False)) if stream.isatty() else {}

    def line(self, name: str, text: str) -> None:
        """Write one line of one process."""
        prefix = f"{name:<{self._width}} |"
        if name in self._colour_of:
            prefix = f"\033[{self._colour_of[name]}m{prefix}\033[0m"
        self.say(f"{prefix} {text}")

    def say(self, text: str) -> None:
        """Write a line of `make run` itself."""
        try:
            print(text, file=self._stream, flush=True)
        except (OSError, ValueError):
            # The terminal was closed, or nobody reads the pipe any more.
            self._colour_of = {}

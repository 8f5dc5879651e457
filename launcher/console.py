"""One readable stream out of many: `name | line`, in colour where a person looks at it."""

from typing import TextIO

# Cyan, yellow, green, magenta, blue: readable on dark and on light.
COLOURS = (36, 33, 32, 35, 34)


class Console:
    """Writes the lines of all parts to one stream; silent once nobody reads it, because stopping must go on."""

    def __init__(self, stream: TextIO, names: list[str]) -> None:
        self._stream = stream
        self._width = max(map(len, names))
        self._colour_of = dict(zip(names, COLOURS, strict=False)) if stream.isatty() else {}

    def line(self, name: str, text: str) -> None:
        """One line of one part."""
        prefix = f"{name:<{self._width}} |"
        if name in self._colour_of:
            prefix = f"\033[{self._colour_of[name]}m{prefix}\033[0m"
        self.say(f"{prefix} {text}")

    def say(self, text: str) -> None:
        """What `make run` itself has to say."""
        try:
            print(text, file=self._stream, flush=True)
        except (OSError, ValueError):
            # The terminal was closed, or the reader of the pipe has gone.
            self._colour_of = {}

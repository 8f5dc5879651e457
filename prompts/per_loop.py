"""Objects of which each event loop has one of its own."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Value = TypeVar("Value")


class PerLoop(Generic[Value]):
    """Makes them when they are asked for first. One that refers to its loop would keep it in memory for ever."""

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, Value] = WeakKeyDictionary()

    def find(self, loop: asyncio.AbstractEventLoop) -> Value:
        """That of this event loop."""
        value = self._values.get(loop)
        return self._values.setdefault(loop, self._make()) if value is None else value

"""Counting in memory, and writing seldom: what happens thousands of times a second.

Under gunicorn a metric is a place in a memory-mapped file. Each count writes it under a lock, after a look at the
process's number: a turn counts twenty times, which is as dear as its admission.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, TypeVar

from prometheus_client import Counter, Gauge, Histogram

Series = TypeVar("Series", Counter, Gauge, Histogram)

# What is counted is written at once when nothing was for so long, and else so often: whoever scrapes sees no more.
PAUSE_S = 0.1


class Tally:
    """What the series of a process have counted and not written yet."""

    def __init__(self) -> None:
        self._changed: list[TalliedValue] = []
        self._is_called = False
        self._flushed_at = -PAUSE_S

    def take(self, series: Series) -> Series:
        """The series, which is one of a metric's and not the metric, counted here from now on."""
        fields = vars(series)
        if isinstance(series, Histogram):
            total, buckets = fields["_sum"], fields["_buckets"]
            fields["_sum"], fields["_buckets"] = (
                TalliedValue(total, self),
                [TalliedValue(each, self) for each in buckets],
            )
            fields["observe"] = TalliedHistogram(fields["_upper_bounds"], fields["_buckets"], fields["_sum"]).observe
        else:  # the methods, too: prometheus_client looks each time whether it is a series
            fields["_value"] = value = TalliedValue(fields["_value"], self)
            fields["inc"] = value.inc
            if isinstance(series, Gauge):
                fields["dec"] = value.dec
        return series

    def note(self, value: "TalliedValue") -> None:
        """This one has something to write."""
        self._changed.append(value)
        if self._is_called:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody would call later
            self.flush()
            return
        self._is_called = True
        loop.call_later(max(0.0, self._flushed_at + PAUSE_S - loop.time()), self._flush, loop)

    def flush(self) -> None:
        """Write what was counted."""
        changed, self._changed = self._changed, []
        for value in changed:
            value.flush()

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_called, self._flushed_at = False, loop.time()
        self.flush()


class TalliedHistogram:
    """The values of a histogram, without prometheus_client's look at each of its buckets."""

    __slots__ = ("_bounds", "_buckets", "_sum")

    def __init__(self, bounds: Sequence[float], buckets: "Sequence[TalliedValue]", total: "TalliedValue") -> None:
        """The last of the bounds is endless."""
        self._bounds = bounds
        self._buckets = buckets
        self._sum = total

    def observe(self, amount: float) -> None:
        """See prometheus_client."""
        total, bucket = self._sum, self._buckets[bisect_left(self._bounds, amount)]
        if not (total.pending and bucket.pending):  # else they are to be written already
            total.inc(amount)
            bucket.inc(1)
            return
        total.pending += amount
        bucket.pending += 1


class TalliedValue:
    """A value of prometheus_client's that is added to in memory."""

    __slots__ = ("_tally", "_value", "pending")

    def __init__(self, value: Any, tally: Tally) -> None:
        """`value` is what prometheus_client calls a ValueClass."""
        self._value = value
        self._tally = tally
        self.pending = 0.0
        """What was added and is not written yet."""

    def inc(self, amount: float = 1) -> None:
        """Add, and write later."""
        is_new = not self.pending
        self.pending += amount
        if is_new:
            self._tally.note(self)

    def dec(self, amount: float = 1) -> None:
        """Take away, and write later."""
        self.inc(-amount)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Write now."""
        self.pending = 0.0
        self._value.set(value, timestamp=timestamp)

    def get(self) -> float:
        """What it is by now."""
        written: float = self._value.get()
        return written + self.pending

    def get_exemplar(self) -> Any:
        """See prometheus_client."""
        return self._value.get_exemplar()

    def flush(self) -> None:
        """Write what was added."""
        pending, self.pending = self.pending, 0.0
        if pending:
            self._value.inc(pending)

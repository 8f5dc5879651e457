"""A histogram for what happens thousands of times a second."""

from bisect import bisect_left

from prometheus_client import Histogram


class TalliedHistogram(Histogram):
    """A histogram without labels that counts in memory and writes seldom.

    A plain one writes each observation to two places of a memory-mapped file, under a lock.
    """

    _tallies: list[int]
    _tallied_sum: float

    def tally(self, amount: float) -> None:
        """Observe, and write it down later."""
        self._tallies[bisect_left(self._upper_bounds, amount)] += 1
        self._tallied_sum += amount

    def flush(self) -> None:
        """Write down what was tallied."""
        for index, count in enumerate(self._tallies):
            if count:
                self._buckets[index].inc(count)
                self._tallies[index] = 0
        if self._tallied_sum:
            self._sum.inc(self._tallied_sum)
            self._tallied_sum = 0.0

    def _metric_init(self) -> None:
        super()._metric_init()
        self._tallies = [0] * len(self._upper_bounds)
        self._tallied_sum = 0.0

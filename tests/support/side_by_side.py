"""Which tests a process of pytest gets: a file at a time, and all files that share costly servers."""

from typing_extensions import override
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # xdist has no types

# The page's two replicas and their balancer are started once for all of them.
TOGETHER = "tests/browser/"


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """xdist's `loadfile`, with one unit of these folders."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(TOGETHER):
            return TOGETHER
        file: str = super()._split_scope(nodeid)
        return file

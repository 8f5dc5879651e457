"""When a run leaves a waypoint in its log, so that a reader who comes back late need not read it from its start."""

from prompts.answer.events import Narration
from prompts.domain.waypoints import pack_waypoint

# Telling so many again takes a reader a millisecond; a waypoint of 50 bytes adds a tenth of a byte to each. No multiple
# of 100: Redis packs so many entries as one, each like the first, which should not be one that has a waypoint.
SIGNALS_A_WAYPOINT = 509
# Larger ones, of a dozen open calls, are not written: a reader looks for a waypoint only so far back (`EventLog`).
MAX_WAYPOINT_BYTES = 2_000


class WaypointPace:
    """Counts the signals of one run from waypoint to waypoint: a byte of a waypoint to a signal at most."""

    def __init__(self, signals_a_waypoint: int = SIGNALS_A_WAYPOINT) -> None:
        self._signals_a_waypoint = signals_a_waypoint
        self._signals = 0
        self._due_at = signals_a_waypoint

    def pass_group(self, narration: Narration, signals: int) -> bytes:
        """The packed waypoint to write with a group of so many signals, which have been told; b"" for none."""
        self._signals += signals
        if self._signals < self._due_at:
            return b""
        waypoint = narration.find_waypoint()
        if waypoint is None:
            return b""
        packed = pack_waypoint(waypoint)
        if len(packed) > min(self._signals, MAX_WAYPOINT_BYTES):
            self._due_at = len(packed) if len(packed) <= MAX_WAYPOINT_BYTES else 2 * self._signals
            return b""
        self._signals, self._due_at = 0, self._signals_a_waypoint
        return packed

"""What one stand-in process remembers: calls, default directives and failures already served."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from standin.control.call_log import CallLog
from standin.control.directives import compose_directives, parse_pairs

_MAX_KEYS = 100_000  # of failures served; beyond this all counts start again


class State:
    """The memory of a process. It never changes what an answer says."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.api_key = environ.get("STANDIN_API_KEY", "")
        self.calls = CallLog()
        self.defaults: dict[str, Any] = {}
        self._initial = parse_pairs(environ.get("STANDIN_DEFAULTS", ""))
        self._failures: Counter[str] = Counter()
        self.set_defaults(self._initial)

    def set_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Use these directives where a request has none. Raises a 400 for an unknown directive."""
        compose_directives(defaults)
        self.defaults = dict(defaults)

    def reset(self) -> None:
        """Restore the defaults of the environment; forget the failures served."""
        self.defaults = dict(self._initial)
        self._failures.clear()

    def take_failure(self, key: str, times: int) -> bool:
        """Whether a request with this key is one of the first `times`, which fail. Counts it if so."""
        if self._failures[key] >= times:
            return False
        if len(self._failures) > _MAX_KEYS:
            self._failures.clear()
        self._failures[key] += 1
        return True

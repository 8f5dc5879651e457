"""What a client says that this server does not know: it is left out, and named.

A client is always newer than its server. So an unknown field, tool or `include` costs nobody an answer, and a typing
error is still seen: in `eps:ignored` of the answer, in the log line, in a counter. `STRICT_REQUESTS` refuses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from prompts.domain.media_hosts import PUBLIC_HOSTS, MediaHosts
from prompts.errors import BodyTooLarge, InvalidRequest

UnknownKind: TypeAlias = Literal["field", "item_field", "tool", "include"]

# A name is repeated in the response, which is stored: enough to find what is meant, whatever a client sends.
MAX_NAMED = 100
MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """How requests are read: whether the unknown is refused, which fields are for the model's server, and which hosts
    an address may name that the model's server opens.
    """

    is_strict: bool = False
    option_names: frozenset[str] = frozenset()
    media_hosts: MediaHosts = PUBLIC_HOSTS


@dataclass(slots=True)
class Unknown:
    """What of one request was left out, and what of it is handed on to the model's server as it is."""

    rules: ReadingRules = ReadingRules()
    options: dict[str, Any] = field(default_factory=dict)
    """The model server's own options, by name."""
    counts: dict[UnknownKind, int] = field(default_factory=dict)
    """How many of each kind were left out."""
    _names: list[str] = field(default_factory=list)
    _objects: int = 0

    def count_object(self, limit: int) -> None:
        """One more is looked at for what is not known. Raises BodyTooLarge above the limit."""
        self._objects += 1
        if self._objects > limit:
            message = f"The body holds fields that are not known, and more than {limit:,} objects. Send less at once."
            raise BodyTooLarge(message)

    def leave_out(self, path: str, kind: UnknownKind) -> None:
        """Name a place that is left out. Raises InvalidRequest where the unknown is refused."""
        if self.rules.is_strict:
            raise InvalidRequest(f"Unknown parameter: '{path}'. Leave it out.", param=path)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if len(self._names) < MAX_NAMED:
            self._names.append(path[:MAX_NAME_CHARACTERS])

    def take_options(self, body: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body without the options of the model's server, which are kept; null is no option."""
        named = {name: body[name] for name in body if name in self.rules.option_names and name not in known}
        self.options |= {name: value for name, value in named.items() if value is not None}
        return {name: value for name, value in body.items() if name not in named}

    def list_names(self) -> list[str]:
        """The places that were left out, in the order in which they were met."""
        more = sum(self.counts.values()) - len(self._names)
        return [*self._names, f"and {more:,} more"] if more else list(self._names)

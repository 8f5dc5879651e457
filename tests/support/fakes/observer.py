"""`Observer` in memory."""

from dataclasses import dataclass, field

from prompts.ports.observer import Happening


@dataclass
class FakeObserver:
    """`Observer` that records what happened."""

    noticed: list[Happening] = field(default_factory=list)

    def notice(self, happening: Happening) -> None:
        """See `Observer.notice`."""
        self.noticed.append(happening)

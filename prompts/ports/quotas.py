"""How much an owner may keep."""

from typing import Protocol


class Quotas(Protocol):
    """What owners keep, and may keep; known to the process, at most some seconds old."""

    def check(self, owner: str) -> None:
        """Raises QuotaExceeded when the owner keeps as much as they may. What frees room is never refused."""


class Unlimited:
    """`Quotas` without a limit."""

    def check(self, owner: str) -> None:
        """See `Quotas.check`."""


UNLIMITED = Unlimited()

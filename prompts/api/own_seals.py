"""The sealed texts of one body: each must be its owner's own, and together they are bounded."""

from prompts.errors import BodyTooLarge, BrokenSeal, InvalidEncryptedContent
from prompts.ports.sealing import Sealer, SealKind

# Eight million tokens, many times what any model takes. A body of 10 MB holds some twenty million characters of prose.
MAX_OPENED_CHARACTERS = 32_000_000


class OwnSeals:
    """Opens the seals of one body."""

    def __init__(self, sealer: Sealer, owner: str) -> None:
        self._sealer = sealer
        self._owner = owner
        self._characters = 0

    def check(self, kind: SealKind, sealed: str, param: str) -> None:
        """Whether a sealed text is the owner's own. Raises InvalidEncryptedContent, and BodyTooLarge for too much."""
        try:
            self._characters += len(self._sealer.open(self._owner, kind, sealed))
        except BrokenSeal:
            raise InvalidEncryptedContent(param=param) from None
        if self._characters > MAX_OPENED_CHARACTERS:
            message = f"The sealed texts hold more than {MAX_OPENED_CHARACTERS:,} characters. Send fewer of them."
            raise BodyTooLarge(message, param=param)

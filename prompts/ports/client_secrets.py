"""Client secrets: what a browser holds in place of a key. Each says by itself what it opens, and for how long.

A secret is a sealed text, so nobody looks it up. What it was made with is looked at on every request, in the script
that counts it: when that key is revoked, or that user signs out, its secrets open nothing from then on.
"""

from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from prompts.errors import BrokenSeal
from prompts.ports.sealing import Sealer

Scope: TypeAlias = Literal["read", "write", "admin"]
ALL_SCOPES: frozenset[Scope] = frozenset(("read", "write", "admin"))
# What a secret gets that does not ask for more: a page seldom decides for a whole project.
PAGE_SCOPES: frozenset[Scope] = frozenset(("read", "write"))

# As OpenAI's begin; the pattern that scanners for leaked secrets know.
PREFIX = "ek_"
# OpenAI's bounds and default.
MIN_LIFE_S, MAX_LIFE_S, LIFE_S = 10, 7_200, 600
# Longer than any that was sealed here: an owner has 100 characters. Others are not decrypted.
MAX_CHARACTERS = 2_000


class ClientSecret(Struct, frozen=True):
    """What a secret says. The names are short because it travels in a header."""

    owner: str = msgspec.field(name="o")
    maker: str = msgspec.field(name="m")
    """What the API key that made it is published under; of a signed-in user their name as an owner."""
    expires_at: int = msgspec.field(name="e")
    """In seconds since 1970, by the clock of Redis."""
    scopes: frozenset[Scope] = msgspec.field(name="s", default=ALL_SCOPES)
    user_proof: str = msgspec.field(name="p", default="")
    """Of a signed-in user: the proof that must still be published for them."""
    conversation: str | None = msgspec.field(name="c", default=None)
    """The only conversation that it opens; None for all."""

    @property
    def is_of_user(self) -> bool:
        """Whether a signed-in user has it, and not whoever has an API key."""
        return self.maker == self.owner

    @property
    def proof(self) -> str:
        """What must be published of the maker, for the secret to open anything: of a key, its owner."""
        return self.user_proof if self.is_of_user else self.owner


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ClientSecret).decode


def seal_secret(secret: ClientSecret, sealer: Sealer) -> str:
    """The text that a browser is given; it fits into a header, and is a token of a WebSocket's subprotocol."""
    return PREFIX + sealer.seal("", "client_secret", _encode(secret).decode()).rstrip("=")


def open_secret(text: str, sealer: Sealer) -> ClientSecret | None:
    """What a secret says; None when it is none of ours, or was changed."""
    sealed = text.removeprefix(PREFIX)
    if len(sealed) == len(text) or len(text) > MAX_CHARACTERS or not text.isascii():
        return None
    try:
        return _decode(sealer.open("", "client_secret", sealed + "=" * (-len(sealed) % 4)))
    except (BrokenSeal, msgspec.DecodeError):
        return None

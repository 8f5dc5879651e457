"""Seals of AES-256-GCM, under keys derived from the server's secret: every replica opens what any other has sealed.

    sealed = base64url( version 1 byte · nonce 12 bytes · AES-256-GCM( form 1 byte · text ) · tag 16 bytes )

The owner and the kind are authenticated beside the text, so that a seal opens for them only. A nonce is random: 2³²
of them under one secret repeat one with a chance below 2⁻³² (NIST SP 800-38D, section 8.3).

The library takes 8 MB, and most processes seal nothing: it is loaded with the first seal, in about 12 ms.
"""

import base64
import secrets
import zlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from prompts.errors import BrokenSeal
from prompts.ports.sealing import SealKind

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_INFO = b"enhanced prompt service: encrypted_content"
_PLAIN, _DEFLATED = b"p", b"z"
# Below it, what deflate saves is less than what it costs to look at twice.
_MIN_DEFLATED_BYTES = 512
# Fast rather than small: level 1 packs prose at some 80 MB/s, and the event loop waits for it.
_LEVEL = 1
# Twice the largest answer (`prompts.run.answer_size`): nothing we sealed is longer.
MAX_TEXT_BYTES = 32_000_000
# Prose becomes a third, a table a tenth. What becomes still less is repetition, and sealed as it is: else a body of
# such seals would inflate to gigabytes on the event loop.
_MAX_RATIO = 32


class AesGcmSealer:
    """`Sealer`; what an earlier secret sealed still opens while that secret is among the fallbacks."""

    def __init__(self, secret: str, fallbacks: Sequence[str] = ()) -> None:
        self._secrets = (secret, *fallbacks)

    @cached_property
    def _ciphers(self) -> "Sequence[AESGCM]":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return [AESGCM(_derive_key(each)) for each in self._secrets]

    def seal(self, owner: str, kind: SealKind, text: str) -> str:
        """See `Sealer.seal`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, _pack(text), _bound_to(owner, kind))
        return base64.urlsafe_b64encode(_VERSION + nonce + sealed).decode()

    def open(self, owner: str, kind: SealKind, sealed: str) -> str:
        """See `Sealer.open`."""
        try:
            raw = base64.b64decode(sealed, altchars=b"-_", validate=True)
        except ValueError as exc:
            raise BrokenSeal from exc
        if raw[:1] != _VERSION or len(raw) <= len(_VERSION) + _NONCE_BYTES + _TAG_BYTES:
            raise BrokenSeal
        from cryptography.exceptions import InvalidTag

        nonce, ciphertext = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
        for cipher in self._ciphers:
            try:
                return _unpack(cipher.decrypt(nonce, ciphertext, _bound_to(owner, kind)))
            except InvalidTag:
                continue
        raise BrokenSeal


def _derive_key(secret: str) -> bytes:
    """A key for this purpose alone: Django signs with the same secret."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length=_KEY_BYTES, salt=None, info=_INFO).derive(secret.encode())


def _bound_to(owner: str, kind: SealKind) -> bytes:
    return f"{kind}\0{owner}".encode()


def _pack(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")  # a model may have written half a character
    if len(data) >= _MIN_DEFLATED_BYTES:
        deflated = zlib.compress(data, _LEVEL)
        if len(deflated) * _MAX_RATIO >= len(data):
            return _DEFLATED + deflated
    return _PLAIN + data


def _unpack(packed: bytes) -> str:
    form, data = packed[:1], packed[1:]
    if form == _DEFLATED:
        inflating = zlib.decompressobj()
        data = inflating.decompress(data, MAX_TEXT_BYTES)
        if not inflating.eof:
            raise BrokenSeal
    return data.decode("utf-8", "surrogatepass")

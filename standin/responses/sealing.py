"""Seals reasoning as `encrypted_content`, and recognises its own seal.

Nothing is secret: the key is in this file. Every stand-in accepts what another has sealed.
"""

import base64
import binascii
import hashlib
import zlib

from standin.errors import StandInError

_KEY = b"the stand-in's own seal"
_SEAL_BYTES = 16


def seal(text: str) -> str:
    """The text as `encrypted_content`. Equal texts give equal seals."""
    packed = zlib.compress(text.encode())
    return base64.urlsafe_b64encode(_compute_seal(packed) + packed).decode()


def unseal(sealed: str, param: str) -> str:
    """The sealed text. Raises OpenAI's 400 when another server sealed it or it is damaged."""
    try:
        raw = base64.b64decode(sealed.encode(), altchars=b"-_", validate=True)
        if _compute_seal(raw[_SEAL_BYTES:]) != raw[:_SEAL_BYTES]:
            raise _refuse(sealed, param)
        return zlib.decompress(raw[_SEAL_BYTES:]).decode()
    except (binascii.Error, UnicodeError, zlib.error) as exc:
        raise _refuse(sealed, param) from exc


def _compute_seal(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=_SEAL_BYTES, key=_KEY).digest()


def _refuse(sealed: str, param: str) -> StandInError:
    message = (
        f"The encrypted content {sealed[:4]}...{sealed[-4:]} could not be verified. "
        "Reason: Encrypted content could not be decrypted or parsed."
    )
    return StandInError(400, message, code="invalid_encrypted_content", param=param)

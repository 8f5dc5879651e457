"""How many tokens a request that is handed on may need: an estimate, made from its bytes."""

import re
from collections.abc import Mapping

import msgspec

from prompts.history.estimates import TOKENS_AN_IMAGE, estimate_characters
from prompts.ports.relay import RelayPath
from prompts.run.metering import OUTPUT_TOKENS

# Nothing of the values is looked at.
decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_count = msgspec.json.Decoder(int).decode

# No text has so many characters without a blank: an image, or a file.
_ENCODED = re.compile(rb"[A-Za-z0-9+/=_-]{1000,}")
# As newer and older servers call it.
_LIMITS = ("max_completion_tokens", "max_tokens")
MAX_COUNT = 10**9


def estimate_request(path: RelayPath, body: bytes) -> int:
    """What the model is given and may say. The body is a JSON object, which the model's server will check."""
    text, encoded = _ENCODED.subn(b"", body)
    given = estimate_characters(len(text)) + encoded * TOKENS_AN_IMAGE
    if path == "/embeddings":
        return given
    fields = decode_fields(body)
    said = next((count for name in _LIMITS if (count := _read_count(fields, name))), OUTPUT_TOKENS)
    return given + said * (_read_count(fields, "n") or 1)


def _read_count(fields: Mapping[str, msgspec.Raw], name: str) -> int | None:
    """A number that can be meant; what cannot is the server's to refuse."""
    try:
        count = _decode_count(fields[name])
    except (KeyError, msgspec.DecodeError):
        return None
    return count if 0 < count <= MAX_COUNT else None

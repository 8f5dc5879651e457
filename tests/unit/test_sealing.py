"""Sealed texts: every replica opens them, for their own owner only."""

import base64
import zlib

import pytest

from prompts.adapters import sealing
from prompts.adapters.sealing import AesGcmSealer
from prompts.errors import BrokenSeal

LONG = "The weather in Paris: 21 degrees. " * 400


@pytest.fixture
def sealer() -> AesGcmSealer:
    """The sealer of any replica."""
    return AesGcmSealer("secret")


def test_a_long_text_is_compressed_and_unreadable(sealer: AesGcmSealer) -> None:
    sealed = sealer.seal("alice", "compaction", LONG)
    assert len(sealed) < len(LONG) / 10
    assert b"Paris" not in base64.urlsafe_b64decode(sealed)
    assert sealer.seal("alice", "compaction", LONG) != sealed


@pytest.mark.parametrize("text", ["Ada", LONG])
def test_a_changed_seal_does_not_open(sealer: AesGcmSealer, text: str) -> None:
    sealed = sealer.seal("alice", "compaction", text)
    raw = base64.urlsafe_b64decode(sealed)
    changed = [raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :] for place in (0, 1, 12, 13, len(raw) - 1)]
    forged = [base64.urlsafe_b64encode(each).decode() for each in (*changed, raw[:-1], raw + b"\0", raw + raw, b"")]
    for each in (
        *forged,
        "forged",
        "ä" * 40,
        sealed[:-4],
        sealed * 2,
        f"{sealed}\n",
        f"{sealed[:8]} {sealed[8:]}",
        "=",
    ):
        with pytest.raises(BrokenSeal):
            sealer.open("alice", "compaction", each)


def test_an_earlier_secret_opens_while_it_is_a_fallback() -> None:
    sealed = AesGcmSealer("old").seal("alice", "compaction", "Ada")
    rotated = AesGcmSealer("new", ["older", "old"])
    assert rotated.open("alice", "compaction", sealed) == "Ada"
    with pytest.raises(BrokenSeal):
        AesGcmSealer("new").open("alice", "compaction", sealed)
    with pytest.raises(BrokenSeal):
        AesGcmSealer("old").open("alice", "compaction", rotated.seal("alice", "compaction", "Ada"))


def test_a_decompression_bomb_does_not_go_off(sealer: AesGcmSealer) -> None:
    bomb = b"z" + zlib.compress(b"\0" * (sealing.MAX_TEXT_BYTES + 1))
    nonce = b"\0" * 12
    sealed = sealer._ciphers[0].encrypt(nonce, bomb, sealing._bound_to("alice", "compaction"))
    with pytest.raises(BrokenSeal):
        sealer.open("alice", "compaction", base64.urlsafe_b64encode(b"\x01" + nonce + sealed).decode())

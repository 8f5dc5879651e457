"""Sealed texts: every replica opens them, for their own owner only."""

import base64
import zlib

import pytest

from prompts.adapters import sealing
from prompts.adapters.sealing import AesGcmSealer
from prompts.api.own_seals import MAX_OPENED_CHARACTERS, OwnSeals
from prompts.errors import BodyTooLarge, BrokenSeal, InvalidEncryptedContent

LONG = " ".join(f"The weather in Paris on day {day}: {day * 7 % 31} degrees." for day in range(400))


@pytest.fixture
def sealer() -> AesGcmSealer:
    """The sealer of any replica."""
    return AesGcmSealer("secret")


def test_a_long_text_is_compressed_and_unreadable(sealer: AesGcmSealer) -> None:
    sealed = sealer.seal("alice", "compaction", LONG)
    assert len(sealed) < len(LONG) / 2
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


def seal_as_before(sealer: AesGcmSealer, text: bytes) -> str:
    """A seal of an earlier release, which deflated everything; none of ours is longer than it may be."""
    nonce = b"\0" * 12
    sealed = sealer._ciphers[0].encrypt(nonce, b"z" + zlib.compress(text), sealing._bound_to("alice", "compaction"))
    return base64.urlsafe_b64encode(b"\x01" + nonce + sealed).decode()


def test_a_decompression_bomb_does_not_go_off(sealer: AesGcmSealer) -> None:
    with pytest.raises(BrokenSeal):
        sealer.open("alice", "compaction", seal_as_before(sealer, b"\0" * (sealing.MAX_TEXT_BYTES + 1)))


def test_a_seal_is_as_long_as_a_thirtieth_of_what_it_holds(sealer: AesGcmSealer) -> None:
    blanks = " " * 700_000
    sealed = sealer.seal("alice", "compaction", blanks)
    assert len(sealed) > len(blanks) / 32
    assert sealer.open("alice", "compaction", sealed) == blanks


def test_the_seals_of_a_body_hold_only_so_much(sealer: AesGcmSealer) -> None:
    seals = OwnSeals(sealer, "alice")
    sealed = seal_as_before(sealer, b" " * 700_000)
    opened = MAX_OPENED_CHARACTERS // 700_000
    for _ in range(opened):
        seals.check("compaction", sealed, "input[0].encrypted_content")
    with pytest.raises(BodyTooLarge) as refused:
        seals.check("compaction", sealed, "input[45].encrypted_content")
    assert refused.value.param == "input[45].encrypted_content"
    OwnSeals(sealer, "alice").check("compaction", sealed, "input[0].encrypted_content")
    with pytest.raises(InvalidEncryptedContent):
        OwnSeals(sealer, "bob").check("compaction", sealed, "input[0].encrypted_content")

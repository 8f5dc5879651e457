"""`Sealer`: a seal opens only unchanged, for its owner and kind. Unit tests use the adapter too: there is no fake."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.adapters.sealing import AesGcmSealer
from prompts.errors import BrokenSeal
from prompts.ports.sealing import Sealer, SealKind

SAFE = set(string.ascii_letters + string.digits + "-_=")
KINDS: list[SealKind] = ["reasoning", "compaction"]
LONG = "The weather in Paris: 21 degrees. " * 400


def open_sealer(secret: str = "secret") -> Sealer:
    return AesGcmSealer(secret)


@given(
    text=st.one_of(st.text(st.characters()), st.sampled_from(["", LONG, LONG + "🦀", "\ud83d" * 600])),
    kind=st.sampled_from(KINDS),
)
def test_every_replica_opens_what_any_has_sealed(text: str, kind: SealKind) -> None:
    sealed = open_sealer().seal("alice", kind, text)
    assert open_sealer().open("alice", kind, sealed) == text
    assert set(sealed) <= SAFE


def test_the_same_text_gives_another_seal_each_time() -> None:
    sealer = open_sealer()
    assert len({sealer.seal("alice", "reasoning", "Ada") for _ in range(10)}) == 10


@pytest.mark.parametrize("text", ["My name is Ada.", LONG])
def test_a_seal_hides_its_text(text: str) -> None:
    sealed = open_sealer().seal("alice", "reasoning", text)
    hidden = base64.urlsafe_b64decode(sealed)
    # Words long enough that a long seal does not have them by chance.
    assert b"name is Ada" not in hidden
    assert b"in Paris" not in hidden


@pytest.mark.parametrize(
    ("owner", "kind"), [("bob", "compaction"), ("alice", "reasoning"), ("", "compaction"), ("Alice", "compaction")]
)
def test_a_seal_of_another_owner_or_kind_does_not_open(owner: str, kind: SealKind) -> None:
    sealed = open_sealer().seal("alice", "compaction", "Ada")
    with pytest.raises(BrokenSeal):
        open_sealer().open(owner, kind, sealed)


def test_a_seal_of_another_server_does_not_open() -> None:
    with pytest.raises(BrokenSeal):
        open_sealer("another").open("alice", "reasoning", open_sealer().seal("alice", "reasoning", "Ada"))


@pytest.mark.parametrize("text", ["Ada", LONG])
def test_a_seal_that_was_changed_anywhere_does_not_open(text: str) -> None:
    sealer = open_sealer()
    sealed = sealer.seal("alice", "reasoning", text)
    places = {0, 1, len(sealed) // 3, len(sealed) // 2, len(sealed.rstrip("=")) - 2}
    for place in places:
        other = "A" if sealed[place] != "A" else "B"
        with pytest.raises(BrokenSeal):
            sealer.open("alice", "reasoning", sealed[:place] + other + sealed[place + 1 :])


@pytest.mark.parametrize("sealed", ["", "A", "=", "not a seal", "ключ", "AAAA", "A" * 10_000, "\ud800"])
def test_other_texts_do_not_open(sealed: str) -> None:
    with pytest.raises(BrokenSeal):
        open_sealer().open("alice", "reasoning", sealed)

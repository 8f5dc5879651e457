"""Public ids: a kind, a partition, a time-ordered rest; anything else is refused."""

import hashlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.domain import ids

PARTITION = st.integers(0, ids.PARTITIONS - 1).map(lambda number: f"{number:02x}")


@settings(deadline=None)  # the machine is shared
@given(PARTITION, st.integers(0, 255))
def test_an_id_carries_its_kind_and_its_partition(partition: str, index: int) -> None:
    response_id = ids.new_id(ids.RESPONSE, partition)
    assert ids.is_well_formed(response_id, ids.RESPONSE)
    assert ids.is_of_kind(response_id, ids.RESPONSE)
    assert not ids.is_well_formed(response_id, ids.CONVERSATION)
    assert ids.get_partition(response_id) == partition
    item_id = ids.output_item_id(ids.MESSAGE, response_id, index)
    assert ids.find_response_id(item_id) == response_id
    assert ids.find_response_id(ids.new_id(ids.MESSAGE, ids.get_partition(response_id))) is None
    assert ids.is_well_formed(item_id, ids.MESSAGE)
    assert ids.get_partition(item_id) == partition


def test_ids_of_later_milliseconds_sort_later(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for milliseconds in (1, 2, 999, 1_000, 2_000_000_000_000):
        monkeypatch.setattr(time, "time_ns", lambda now=milliseconds: now * 1_000_000)
        made.append(ids.new_id(ids.MESSAGE, "00"))
    assert made == sorted(made)


def test_ids_do_not_repeat() -> None:
    assert len({ids.new_id(ids.MESSAGE, "00") for _ in range(10_000)}) == 10_000


def test_output_items_of_one_response_differ_and_are_the_same_everywhere() -> None:
    response_id = ids.new_id(ids.RESPONSE, "3f")
    made = [ids.output_item_id(ids.MESSAGE, response_id, index) for index in (0, 1, 0)]
    assert made[0] == made[2] != made[1]


def test_partitions_are_drawn_from_all_of_them() -> None:
    drawn = {int(ids.new_partition(), 16) for _ in range(5_000)}
    assert drawn == set(range(ids.PARTITIONS))


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "resp",
        "resp_",
        "resp_1",
        "resp_" + "0" * 31,
        "resp_" + "0" * 33,
        "resp_" + "0" * 35,
        "resp_4" + "0" * 31,  # there are 64 partitions
        "resp_0" + "A" * 31,
        "resp_0" + "g" * 31,
        "resp_" + "0" * 32 + "\n",
        " resp_" + "0" * 32,
        "resp_٠" + "0" * 31,  # a digit, but not ASCII
        "resp_{0}" + "0" * 29,
        "conv_" + "0" * 32,
        "resp" + "0" * 32,
    ],
)
def test_a_foreign_id_is_not_ours(wrong: str) -> None:
    assert not ids.is_well_formed(wrong, ids.RESPONSE)


def test_a_key_is_stored_as_its_hash_whatever_it_holds() -> None:
    assert ids.hash_key("eps-key") == hashlib.sha256(b"eps-key").hexdigest()
    assert len({ids.hash_key(key) for key in ("ü", "\udcfc", "", "a")}) == 4

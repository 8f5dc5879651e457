"""What a connection remembers of turns that are not stored, and what it forgets first."""

import pytest

from prompts.domain.anchors import AfterResponse
from prompts.domain.items import FunctionCall, InputText, Item, Message
from prompts.history.window import measure_item, take_window
from prompts.usecases.remembered import (
    LEAST_FACTOR,
    MAX_RESPONSES,
    ConnectionMemory,
    HistoryLimits,
    MemoryRoom,
    Remembered,
    remember,
)

LIMITS = HistoryLimits(max_tokens=1000, max_bytes=1_000_000)
LARGE = 10**9


def say(number: int, characters: int = 40) -> Item:
    """A message of the user's."""
    return Message(id=f"msg_{number}", status="completed", role="user", content=[InputText("x" * characters)])


def chain(count: int, *, limits: HistoryLimits = LIMITS) -> list[Remembered]:
    """Responses that continue one another, each with one item; a stored one is before the first."""
    made: list[Remembered] = []
    for number in range(count):
        before = made[-1] if made else None
        made.append(
            remember(f"resp_{number}", [say(number)], anchor=AfterResponse("resp_s"), before=before, limits=limits)
        )
    return made


def test_it_works() -> None:
    memory = MemoryRoom(LARGE).open(max_bytes=LARGE)
    *_, last = chain(3)
    memory.keep(last)
    found = memory.find("resp_2")
    assert found is last
    assert [sized.item.id for sized in found.items] == ["msg_0", "msg_1", "msg_2"]
    assert (found.anchor, found.dropped) == (AfterResponse("resp_s"), 0)
    assert memory.find("resp_1") is None


def test_a_window_ends_before_the_first_item_that_does_not_fit() -> None:
    items = [measure_item(say(number, 40 * number)) for number in (1, 9, 2, 3)]
    tokens = [sized.tokens for sized in items]
    window = take_window(items, budget_tokens=tokens[2] + tokens[3] + tokens[0], max_bytes=LARGE)
    assert (window.items, window.tokens, window.dropped) == (items[2:], tokens[2] + tokens[3], 2)
    by_bytes = take_window(items, budget_tokens=LARGE, max_bytes=items[3].size)
    assert (by_bytes.items, by_bytes.dropped) == (items[3:], 3)
    assert take_window(items, budget_tokens=0, max_bytes=LARGE).items == []


def test_no_more_is_kept_than_a_model_could_be_given() -> None:
    tokens = measure_item(say(0)).tokens
    limits = HistoryLimits(max_tokens=-int(-3 * tokens * LEAST_FACTOR // 1), max_bytes=LARGE)
    *_, last = chain(10, limits=limits)
    assert (len(last.items), last.dropped) == (3, 7)


def test_a_call_may_be_answered_though_it_is_too_large_to_be_given() -> None:
    call = FunctionCall("fc_1", "completed", "call_1", "get", "x" * 100_000)
    limits = HistoryLimits(max_tokens=10, max_bytes=LARGE)
    made = remember("resp_1", [call], anchor=None, before=None, limits=limits)
    assert (len(made.items), made.dropped, made.call_ids) == (0, 1, frozenset({"call_1"}))
    later = remember("resp_2", [say(1, 4)], anchor=None, before=made, limits=limits)
    assert later.call_ids == frozenset()


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    made = chain(MAX_RESPONSES + 1)
    memory = MemoryRoom(LARGE).open(max_bytes=LARGE)
    for remembered in made[:-1]:
        memory.keep(remembered)
    assert memory.find("resp_0") is not None
    memory.keep(made[-1])
    assert len(memory) == MAX_RESPONSES
    assert (memory.find("resp_0") is None, memory.find("resp_1") is None) == (False, True)


def test_items_that_histories_share_are_counted_once() -> None:
    made = chain(5)
    memory = MemoryRoom(LARGE).open(max_bytes=LARGE)
    for remembered in made:
        memory.keep(remembered)
    whole = sum(sized.size for sized in made[-1].items)
    assert memory.used_bytes == whole
    memory.forget("resp_4")
    memory.forget("resp_4")
    assert memory.used_bytes == sum(sized.size for sized in made[3].items)
    while memory.forget_oldest():
        pass
    assert (memory.used_bytes, len(memory)) == (0, 0)


def test_a_connection_has_so_many_bytes() -> None:
    made = [remember(f"resp_{n}", [say(n, 1000)], anchor=None, before=None, limits=LIMITS) for n in range(5)]
    memory = MemoryRoom(LARGE).open(max_bytes=2 * made[0].items[0].size)
    for remembered in made:
        memory.keep(remembered)
    assert [memory.find(f"resp_{number}") is not None for number in range(5)] == [False] * 3 + [True] * 2


def test_of_all_connections_the_one_with_the_most_gives_way() -> None:
    size = measure_item(say(0, 1000)).size

    def fill(memory: ConnectionMemory, count: int, start: int) -> None:
        for number in range(start, start + count):
            made = remember(f"resp_{number}", [say(number, 1000)], anchor=None, before=None, limits=LIMITS)
            memory.keep(made)

    room = MemoryRoom(6 * size + 100)
    greedy, modest = room.open(max_bytes=LARGE), room.open(max_bytes=LARGE)
    fill(modest, 2, 0)
    fill(greedy, 50, 100)
    assert (len(modest), len(greedy)) == (2, 4)
    greedy.close()
    assert room.used_bytes == modest.used_bytes
    modest.close()
    assert room.used_bytes == 0


@pytest.mark.parametrize("known", [True, False])
def test_to_forget_what_is_not_known_is_nothing(known: bool) -> None:
    memory = MemoryRoom(LARGE).open(max_bytes=LARGE)
    if known:
        memory.keep(chain(1)[0])
    memory.forget("resp_9")
    assert len(memory) == known

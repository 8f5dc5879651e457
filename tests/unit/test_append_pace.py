"""How far apart the writes of a process are: not at all while little is going on."""

import pytest

from prompts.adapters.redis.append_queue import LARGE_CALL, MAX_PAUSE_S, Pace


def go_on(pace: Pace, groups_a_s: float, *, writes_a_s: float = 100, from_s: float = 0, for_s: float = 2) -> float:
    """Write so many groups a second for a while; when that ends."""
    writes = int(for_s * writes_a_s)
    for number in range(writes):
        pace.count(int(groups_a_s / writes_a_s), from_s + number / writes_a_s)
    return from_s + for_s


@pytest.mark.parametrize(
    ("groups_a_s", "least_ms", "most_ms"),
    [(100, 0, 0), (200, 0, 0), (400, 0.5, 2.5), (600, 3, 6), (1_100, 9.9, 10), (20_000, 10, 10)],
)
def test_the_distance_grows_with_what_is_going_on(groups_a_s: float, least_ms: float, most_ms: float) -> None:
    pace = Pace()
    now = go_on(pace, groups_a_s)
    assert least_ms <= pace.get_pause_s(now, 0) * 1000 <= most_ms


def test_it_is_the_shorter_the_more_wait() -> None:
    pace = Pace()
    now = go_on(pace, 2_000)
    pauses = [pace.get_pause_s(now, waiting) for waiting in (0, 1, LARGE_CALL // 2, LARGE_CALL - 1, LARGE_CALL, 1_000)]
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[2] == pytest.approx(MAX_PAUSE_S / 2)
    assert pauses[-2:] == [0, 0]


def test_it_is_over_soon_after_all_is_quiet() -> None:
    pace = Pace()
    now = go_on(pace, 1_000)
    assert pace.get_pause_s(now, 0) > 0.9 * MAX_PAUSE_S
    assert pace.get_pause_s(now + 0.5, 0) == 0


def test_one_pass_with_many_groups_is_not_yet_a_rate() -> None:
    pace = Pace()
    pace.count(64, 1.0)
    assert pace.get_pause_s(1.0, 0) == 0


def test_a_new_process_waits_for_nothing() -> None:
    assert Pace().get_pause_s(12_345.0, 0) == 0

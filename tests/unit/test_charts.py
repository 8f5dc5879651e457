"""The pictures of the dashboard: what is drawn of numbers."""

from datetime import date, timedelta

import pytest

from prompts.admin.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Series, draw_bars, draw_curves
from prompts.admin.usage import BOUNDS_MS, Usage

DAYS = [date(2026, 11, 1) + timedelta(days=number) for number in range(30)]


def test_bars_stand_on_each_other_and_inside_the_picture() -> None:
    first, second = Series("gpt-5", [float(number) for number in range(30)]), Series("other", [7.0] * 30)
    chart = draw_bars("Turns", DAYS, [first, second], unit="turns")
    assert len(chart.bars) == 29 + 30  # nothing is drawn of nothing
    for bar in chart.bars:
        assert LEFT <= bar.x < bar.x + bar.width <= WIDTH - RIGHT
        assert TOP - 0.1 <= bar.y < bar.y + bar.height <= HEIGHT - BOTTOM + 0.1
    below, above = (
        next(bar for bar in chart.bars if bar.title == title)
        for title in (
            "30 Nov: 29 turns, gpt-5",
            "30 Nov: 7 turns, other",
        )
    )
    assert above.y + above.height == pytest.approx(below.y, abs=0.2)
    assert chart.summary == "Turns: 645 turns in 30 days, at most 36 a day"
    assert [line.text for line in chart.grid] == ["0", "10", "20", "30", "40"]
    assert [day.text for day in chart.days] == ["01 Nov", "16 Nov", "30 Nov"]


def test_a_curve_has_a_gap_where_nothing_is_known() -> None:
    chart = draw_curves("First token", DAYS[:5], [Series("half", [0.2, 0.4, None, 0.3, 0.1])], unit="s")
    [curve] = chart.curves
    assert [len(piece.split()) for piece in curve.points] == [2, 2]
    assert len(curve.dots) == 4


def test_nothing_is_drawn_of_nothing() -> None:
    nothing = [Series("none", [None] * 7)]
    for chart in (
        draw_bars("Turns", DAYS[:7], nothing, unit="turns"),
        draw_curves("Time", DAYS[:7], nothing, unit="s"),
        draw_bars("Turns", [], [], unit="turns"),
    ):
        assert list(chart.bars) == []
        assert chart.grid[0].text.startswith("0")


def test_shares_of_times_are_found_between_bounds() -> None:
    usage = Usage(below_ms=[0, 50, *[100] * (len(BOUNDS_MS) - 2)])
    assert usage.find_first_token_ms(0.5) == 200
    assert usage.find_first_token_ms(0.25) == 150
    assert usage.find_first_token_ms(0.75) == 250
    assert Usage().find_first_token_ms(0.5) is None
    slowest = Usage(below_ms=[*[0] * (len(BOUNDS_MS) - 1), 4])
    assert slowest.find_first_token_ms(1.0) == BOUNDS_MS[-1]

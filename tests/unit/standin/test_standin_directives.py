"""Directives are read, removed from the text, and refused when misspelt."""

import re

import pytest

from standin.control.directives import Directives, compose_directives, find_directives, strip_directives
from standin.control.state import State
from standin.delivery.faults import Fault, apply_fail_count, find_fault
from standin.errors import StandInError
from tests.support.processes import REPO_ROOT


def test_keys_values_quotes_and_flags() -> None:
    text = 'Hello [[standin token_s=0.5 reason="two words" refuse]] you [[standin status=503]]'
    assert compose_directives(find_directives(text)) == Directives(
        token_s=0.5, reason="two words", refuse=True, status=503
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[standin refuse]] Hello", "Hello"),
        ("Hello [[standin refuse]]", "Hello"),
        ("Hello [[standin refuse]] you", "Hello you"),
        ("[[other]] Hello", "[[other]] Hello"),
        ("[[standin]]", ""),
    ],
)
def test_directives_are_no_part_of_what_was_said(text: str, said: str) -> None:
    assert strip_directives(text) == said


@pytest.mark.parametrize("text", ["tokens_s=1", "status=200", "token_s=soon", "tokens_at_once=0", "cut_after=-1"])
def test_a_misspelt_directive_is_refused(text: str) -> None:
    with pytest.raises(StandInError, match="Not a directive"):
        compose_directives(find_directives(f"[[standin {text}]]"))


def test_later_layers_win() -> None:
    assert compose_directives({"token_s": 1, "refuse": True}, {"token_s": "2"}) == Directives(token_s=2, refuse=True)


def test_first_fault_within_the_answer_counts() -> None:
    assert find_fault(Directives(cut_after=5, silence_after=3), 10) == Fault("silence", 3)
    assert find_fault(Directives(cut_after=5), 4) is None
    assert find_fault(Directives(error_after=0), 0) == Fault("error", 0)


def test_failures_are_counted_by_key() -> None:
    state = State({})
    directives = Directives(fail=2)
    statuses = [apply_fail_count(directives, state, key).status for key in ("a", "a", "b", "a")]
    assert statuses == [500, 500, 500, None]
    state.reset()
    assert apply_fail_count(directives, state, "a").status == 500


def test_a_break_that_fails_once_is_mended_afterwards() -> None:
    state = State({})
    directives = Directives(fail=1, cut_after=2, key="mine")
    first, second = apply_fail_count(directives, state, "a"), apply_fail_count(directives, state, "b")
    assert (first.cut_after, first.status) == (2, None)
    assert (second.cut_after, second.status) == (None, None)


def test_environment_sets_the_defaults() -> None:
    assert State({"STANDIN_DEFAULTS": "token_s=0.1 no_usage"}).defaults == {"token_s": "0.1", "no_usage": "true"}
    with pytest.raises(StandInError):
        State({"STANDIN_DEFAULTS": "nonsense"})


def test_the_readme_lists_every_directive() -> None:
    rows = re.findall(r"^\| `(\w+)(?:=\w+)?` \|", (REPO_ROOT / "standin" / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(Directives.__struct_fields__)

"""Owners' names: a user's is one that nobody can choose."""

import pytest

from prompts.domain.owners import check_project, is_user, name_user


def test_a_user_is_an_owner_whom_no_key_can_have() -> None:
    assert is_user(name_user(7))
    with pytest.raises(ValueError, match="signed-in users"):
        check_project(name_user(7))


@pytest.mark.parametrize("name", ["user:", "USER:1", " user:1", "", "  ", "x" * 101, "a\nb", "a\0b"])
def test_what_is_no_projects_name(name: str) -> None:
    with pytest.raises(ValueError, match=r"[Oo]wner"):
        check_project(name)


@pytest.mark.parametrize("name", ["alice", "users", "a user: one", "Ωmega", "x" * 100])
def test_what_is_one(name: str) -> None:
    check_project(name)

"""Tokens joined again are exactly the text."""

from hypothesis import given
from hypothesis import strategies as st

from standin.tokens import count_tokens, split_tokens


@given(st.text())
def test_tokens_put_together_are_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text
    assert count_tokens(text) == len(split_tokens(text))


@given(st.text(min_size=1))
def test_no_token_is_empty_or_long(text: str) -> None:
    assert all(0 < len(token.strip()) <= 6 or token.isspace() for token in split_tokens(text))


def test_space_belongs_to_the_word_after_it() -> None:
    assert split_tokens("one extraordinary\n\nday ") == ["one", " extrao", "rdinar", "y", "\n\nday", " "]

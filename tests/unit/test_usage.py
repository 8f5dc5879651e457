"""Tokens: how reports are added up."""

import msgspec

from prompts.domain.usage import InputTokensDetails, OutputTokensDetails, Usage, add_usage

FIRST = Usage(10, 5, 15, InputTokensDetails(4, 3), OutputTokensDetails(2))
SECOND = Usage(100, 50, 150, InputTokensDetails(40, 30), OutputTokensDetails(20))


def test_every_count_is_added() -> None:
    total = Usage(110, 55, 165, InputTokensDetails(44, 33), OutputTokensDetails(22))
    assert add_usage(FIRST, SECOND) == total
    assert add_usage(FIRST, None) == add_usage(None, FIRST) == FIRST
    assert add_usage(None, None) is None


def test_a_usage_that_was_stored_without_cache_writes_has_none() -> None:
    stored = b'{"input_tokens":1,"output_tokens":2,"total_tokens":3,"input_tokens_details":{"cached_tokens":1}}'
    assert msgspec.json.decode(stored, type=Usage) == Usage(1, 2, 3, InputTokensDetails(1, 0))

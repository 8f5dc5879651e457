"""A Lua file names its arguments once, for Lua and for Python."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis.lua_files import Arg, parse_script
from prompts.adapters.redis.scripts import Scripts

SCRIPT = """-- Take things.
assert(#KEYS == 2 and #ARGV == 3)
local response_key = KEYS[1] -- hash
local log_key = KEYS[2]
local owner = ARGV[1] -- a name
local lease_ms = tonumber(ARGV[2])
local is_retry = ARGV[3] == '1'
return owner
"""
VALUES: dict[str, Arg] = {"is_retry": 1, "lease_ms": 10, "owner": "alice", "log_key": "l", "response_key": "r"}


@pytest.fixture
async def scripts() -> AsyncIterator[Scripts]:
    """Scripts of a Redis that does not exist: a call that is refused never reaches it."""
    async with Redis(port=1) as redis:
        yield Scripts(redis)


def test_values_are_put_into_the_order_that_the_script_says() -> None:
    assert parse_script("take", SCRIPT).arrange(VALUES) == (("r", "l"), ("alice", 10, 1))


def test_a_missing_and_an_unknown_name_are_refused_and_named() -> None:
    values = {**VALUES, "lease_s": 1}
    script = parse_script("take", SCRIPT)
    with pytest.raises(TypeError, match=r"take\.lua: missing \[\], unknown \['lease_s'\]"):
        script.arrange(values)
    del values["owner"]
    with pytest.raises(TypeError, match=r"take\.lua: missing \['owner'\], unknown \['lease_s'\]"):
        script.arrange(values)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("local log_key = KEYS[2]\n", ""),
        ("local log_key = KEYS[2]\n", "local log_key = KEYS[3]\n"),
        ("local log_key = KEYS[2]\n", "local response_key = KEYS[2]\n"),
        ("local log_key = KEYS[2]\n", "local log_key, other = KEYS[2], 1\n"),
        ("tonumber(ARGV[2])", "tonumber(ARGV[2] or ARGV[1])"),
        ("return owner", "return ARGV[1]"),
        ("#ARGV == 3", "#ARGV == 4"),
        ("assert(#KEYS == 2 and #ARGV == 3)\n", ""),
    ],
)
def test_a_script_that_does_not_say_what_it_takes_is_refused(right: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"take\.lua"):
        parse_script("take", SCRIPT.replace(right, wrong))


def test_a_part_is_included_once_and_behind_what_it_includes_itself() -> None:
    text = parse_script("take", SCRIPT.replace("assert", "-- INCLUDES calls window\nassert", 1)).text
    functions = ["function find_parent", "function find_missing_calls", "function read_window"]
    assert [text.count(function) for function in functions] == [1, 1, 1]
    assert sorted(functions, key=text.index) == functions


async def test_a_wrong_name_is_an_error_of_whoever_calls(scripts: Scripts) -> None:
    with pytest.raises(TypeError, match=r"touch_listing\.lua: missing \['listing_key'\], unknown \['listing'\]"):
        await scripts.call("touch_listing", listing="l", conversation_id="conv_1")
    with pytest.raises(TypeError, match=r"get_item\.lua"):
        await scripts.call_many("get_item", [{"item_key": "i"}])


def test_a_script_may_take_its_keys_and_arguments_any_number_of_times() -> None:
    often = """-- Take things.
assert(#KEYS % 2 == 0 and #ARGV == #KEYS / 2 * 1)
for k = 0, #KEYS - 1, 2 do
  local response_key = KEYS[k + 1] -- hash
  local log_key = KEYS[k + 2]
  local owner = ARGV[k / 2 + 1]
end
"""
    with pytest.raises(ValueError, match=r"take\.lua"):
        parse_script("take", often)
    script = parse_script("take", often.replace("k / 2 + 1", "a + 1"))
    assert script.arrange({"owner": "alice", "log_key": "l", "response_key": "r"}) == (("r", "l"), ("alice",))
    with pytest.raises(ValueError, match=r"take\.lua"):
        parse_script("take", often.replace("k / 2 + 1", "a + 1").replace("#KEYS % 2", "#KEYS % 3"))

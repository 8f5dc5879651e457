"""Public ids: a prefix for the kind, the partition, and a time-ordered random part.

`resp_` (a file's is `file-`, as OpenAI's are) + two hex digits of the partition (00–3f) + 12 of the millisecond + 18
random ones. The partition is also the hash tag of the Redis keys, so that an id leads to its keys without a look-up,
and one script's keys lie in one slot.
"""

import hashlib
import os
import re
import secrets
import time

PARTITIONS = 64  # docs/architecture.md, "Words and ids"
_BODY = re.compile(r"[0-3][0-9a-f]{31}(?:[0-9a-f]{2}|[0-9a-f]{4})?\Z")

_BODY_LENGTH = 32

CONVERSATION = "conv"
RESPONSE = "resp"
# Of the items that the service itself makes; `prompts.domain.item_kinds` has those of all.
MESSAGE = "msg"
FUNCTION_CALL = "fc"
REASONING = "rs"
COMPACTION = "cmp"
FILE_SEARCH_CALL = "fs"
CUSTOM_TOOL_CALL = "ctc"
LOCAL_SHELL_CALL = "lsh"
TOOL_SEARCH_CALL = "tsc"
TIMELINE = "tl"
REPLICA = "rep"
FILE = "file"
VECTOR_STORE = "vs"
FILE_BATCH = "vsfb"
PROMPT = "pmpt"


def all_partitions() -> list[str]:
    """Every partition."""
    return [f"{number:02x}" for number in range(PARTITIONS)]


def find_partition(seed: str) -> str:
    """The partition of a text: the same text gives the same partition."""
    return f"{hashlib.sha256(seed.encode('utf-8', 'surrogatepass')).digest()[0] % PARTITIONS:02x}"


def new_partition() -> str:
    """A partition at random, as two hex digits."""
    return f"{secrets.randbelow(PARTITIONS):02x}"


def new_id(kind: str, partition: str) -> str:
    """A fresh id of a kind in a partition."""
    return f"{start_of(kind)}{partition}{time.time_ns() // 1_000_000:012x}{os.urandom(9).hex()}"


def start_of(kind: str) -> str:
    """What every id of a kind begins with."""
    return f"{kind}-" if kind == FILE else f"{kind}_"


def output_item_id(kind: str, response_id: str, output_index: int) -> str:
    """The id of a response's output item: derived, so that every replica gives it the same."""
    width = 2 if output_index < 256 else 4  # noqa: PLR2004 -- two hex digits, or four
    return f"{kind}_{response_id.partition('_')[2]}{output_index:0{width}x}"


def find_response_id(item_id: str) -> str | None:
    """The response whose output item it is; None where it is nobody's output. See `output_item_id`."""
    kind, _, body = item_id.partition("_")
    is_output = is_well_formed(item_id, kind) and len(body) > _BODY_LENGTH
    return f"{RESPONSE}_{body[:_BODY_LENGTH]}" if is_output else None


def get_partition(public_id: str) -> str:
    """The two digits that name the partition; the id must be well formed."""
    return (public_id.partition("_")[2] or public_id.partition("-")[2])[:2]


def get_time_ms(public_id: str) -> int:
    """When it was made, as it says itself: a client may have made it up. The id must be well formed."""
    return int((public_id.partition("_")[2] or public_id.partition("-")[2])[2:14], 16)


def is_of_kind(public_id: str, kind: str) -> bool:
    """Whether the id's prefix says this kind."""
    return public_id.startswith(start_of(kind))


def is_well_formed(public_id: str, kind: str) -> bool:
    """Whether this could be an id of ours of that kind; says nothing of its existence."""
    start = start_of(kind)
    return public_id.startswith(start) and _BODY.match(public_id, len(start)) is not None


def hash_key(key: str) -> str:
    """What is stored of an API key. Keys are long and random, so that a plain hash cannot be turned back."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def hash_narrowed_key(key: str) -> str:
    """The same of a key that opens less than everything, made in another way.

    A release that knows no such keys publishes this hash, and looks under that of `hash_key`: to it they open nothing.
    """
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32, person=b"eps narrowed key").hexdigest()

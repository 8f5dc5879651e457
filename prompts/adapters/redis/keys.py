"""The names of everything in Redis; no other module spells a key. docs/architecture.md has them as a table.

Each key carries its partition as a hash tag, and an id carries its partition: what one script touches lies in one slot.
Keys that scripts reach from their roots are spelled in the scripts, by the same rules:

    {pp}:tl:<id>          stream: items in order (k id, i item, t tokens)
    {pp}:tl:<id>:meta     hash: length, root, where it was forked from, bytes; a root also owner, its conversation, and
                          `expiry`, the member of the expiry that it lives by: without one it is being erased;
                          `depth`, on how many timelines its history stands; `large:<n>`, its large items; `erased`;
                          of a root `branches`, how many timelines are parts of it
    {pp}:tl:<id>:parts    set, of a root: what is erased with it (`resp:<id>`, `tl:<id>`, and forks as `conv:<id>`)
    {pp}:conv:<tl>        hash: the former timeline of a conversation, as a part of the one that took its place
    {pp}:tl:<id>:calls    hash: the function calls made on it, by their ids, and the position of each
    {pp}:item:<id>        string: timeline and position of an item
    {pp}:gone:<item>      string, for a minute: the call that deleted an item
    {pp}:readers:<resp>   sorted set, see `readers`
    {pp}:vs:<id>:files    sorted set: the files of a vector store by when they were put in; likewise `:in_progress`,
                          `:completed`, `:failed`, `:cancelled`, those of each status
    {pp}:vs:<id>:work     sorted set: its files to be indexed, by when they may be seized, ms
    {pp}:vs:<id>:batches  set: its batches
    {pp}:vsfb:<id>:files  sorted set: the files of a batch; and those of each status, as above
    {pp}:seized:<call>    string, for a minute: the work that a call has seized
    {pp}:gone:<vs>:<file> string, for a minute: the call that detached a file
    {pp}:files:of:<purpose>:<owner>   sorted set, see `files`
"""

import hashlib
from functools import lru_cache

from prompts.domain import ids

# Hash: hash of an API key → owner; and sorted sets: an owner's requests of the last minute. One script a request reads
# both, so they are in one slot.
API_KEYS = "eps:{keys}:valid"
# Hash: hash of a key that opens less than everything → what it opens, as JSON. Releases that know no such keys do not
# read it. Hash: hash of a key → when it was used last, in seconds. The same script reads the one and writes the other.
NARROWED_KEYS = "eps:{keys}:narrowed"
USED_KEYS = "eps:{keys}:used"
# Hash: signed-in user, as an owner → the proof that their client secrets carry. Read by the same script.
USER_PROOFS = "eps:{keys}:users"
REQUESTS_PREFIX = "eps:{keys}:requests:"
# Hash: owner → the limits of their project, as JSON; and hashes: an owner's tokens, by second and by month. Read by the
# same script. Hashes: what is reserved of them, by reservation; and sorted sets: until when, in milliseconds.
LIMITS = "eps:{keys}:limits"
TOKENS_PREFIX = "eps:{keys}:tokens:"
RESERVED_PREFIX = "eps:{keys}:reserved:"
RESERVED_ENDS_PREFIX = "eps:{keys}:reserved_ends:"
# Hashes: the answers of an owner that run now, by replica; read by the same script.
RUNNING_PREFIX = "eps:{keys}:running:"
# Hash: origin of a page → the owners who allow it, as JSON.
ORIGINS = "eps:{keys}:origins"
# Hash: template → the revision of it that is published.
PROMPTS = "eps:{prompts}:published"
# String, for a while: somebody erases what projects do not keep any longer.
RETENTION = "eps:retention"
# Channel: says that a response waits for a replica to take it over.
LOST_CHANNEL = "eps:lost"


@lru_cache(maxsize=ids.PARTITIONS)
def prefix(partition: str) -> str:
    """The beginning of all keys of a partition; scripts build from it the keys they reach from their roots."""
    return f"eps:{{{partition}}}:"


def conversation(conversation_id: str) -> str:
    """Hash: owner, metadata, title, timeline, head, active response, times."""
    return f"{_prefix_of(conversation_id)}conv:{conversation_id}"


def forks(conversation_id: str) -> str:
    """Sorted set: the conversations that were forked from this one, by when, in milliseconds."""
    return f"{_prefix_of(conversation_id)}forks:{conversation_id}"


def response(response_id: str) -> str:
    """Hash: owner, status, echo, input, result, epoch, where it stands on its timeline, feedback, follow-ups."""
    return f"{_prefix_of(response_id)}resp:{response_id}"


def event_log(response_id: str) -> str:
    """Stream: one entry a group commit, its id the last sequence number in it."""
    return f"{_prefix_of(response_id)}ev:{response_id}"


def readers(response_id: str) -> str:
    """Sorted set: who reads an active response, by the deadline of each one's mark, in milliseconds."""
    return f"{_prefix_of(response_id)}readers:{response_id}"


def item(item_id: str) -> str:
    """String: the timeline an item is on, and its position there."""
    return f"{_prefix_of(item_id)}item:{item_id}"


def timeline(timeline_id: str) -> str:
    """Stream: items in order."""
    return f"{_prefix_of(timeline_id)}tl:{timeline_id}"


def timeline_meta(timeline_id: str) -> str:
    """Hash: length, root, where it was forked from, which of its items are large."""
    return f"{timeline(timeline_id)}:meta"


def timeline_calls(timeline_id: str) -> str:
    """Hash: the function calls made on it, by their ids, and the position of each."""
    return f"{timeline(timeline_id)}:calls"


def leases(partition: str) -> str:
    """Sorted set: active responses by the deadline of their lease, in milliseconds."""
    return f"{prefix(partition)}leases"


def expiry(partition: str) -> str:
    """Sorted set: `conv:<id>` and `chain:<timeline>` by the time they are to be erased, in milliseconds."""
    return f"{prefix(partition)}expiry"


def archive(partition: str) -> str:
    """Hash: there is an archive, since when, and how far the backfill has come. Scripts look for it."""
    return f"{prefix(partition)}archive"


def outbox(partition: str) -> str:
    """Sorted set: what the archive has to copy (`lua/parts/outbox.lua`), by its last change, in microseconds."""
    return f"{prefix(partition)}outbox"


def archiver(partition: str) -> str:
    """String: the token and the epoch of the archiver that holds the partition."""
    return f"{prefix(partition)}archiver"


def restoring(root: str) -> str:
    """String: the token of who restores the family of this root from the archive."""
    return f"{_prefix_of(root)}restoring:{root}"


def stored_bytes(partition: str) -> str:
    """Hash: owner → the bytes that they keep in the partition (`lua/parts/account.lua`)."""
    return f"{prefix(partition)}bytes"


def idempotency(partition: str, owner: str, anchor_id: str, key: str) -> str:
    """String: which response a retry belongs to, and the hash of its body. Keys are hashed: a client chooses them."""
    return f"{prefix(partition)}idem:{hashlib.sha256(f'{owner} {anchor_id} {key}'.encode()).hexdigest()}"


def vector_store(store_id: str) -> str:
    """Hash: owner, name, metadata, times, what of it is indexed."""
    return f"{_prefix_of(store_id)}vs:{store_id}"


def vector_store_files(store_id: str, status: str = "files") -> str:
    """Sorted set: the files of a vector store, or those of one status, by when they were put in."""
    return f"{vector_store(store_id)}:{status}"


def vector_store_file(store_id: str, file_id: str) -> str:
    """Hash: a file in a vector store: filename, attributes, chunking, status, error, epoch of who indexes it."""
    return f"{_prefix_of(store_id)}vsf:{store_id}:{file_id}"


def file_batch(batch_id: str) -> str:
    """Hash: whose batch it is, its vector store, whether it was cancelled."""
    return f"{_prefix_of(batch_id)}vsfb:{batch_id}"


def batch_files(batch_id: str, status: str = "files") -> str:
    """Sorted set: the files of a batch, or those of one status."""
    return f"{file_batch(batch_id)}:{status}"


def indexing(partition: str) -> str:
    """Sorted set: vector stores with files to be indexed, by when the next may be seized, in milliseconds."""
    return f"{prefix(partition)}indexing"


def unindexing(partition: str) -> str:
    """Sorted set: `<vector store>` and `<vector store> <file>` to be erased from the index, by when, in ms."""
    return f"{prefix(partition)}unindexing"


def vector_store_listing(owner: str) -> str:
    """Sorted set: an owner's vector stores by their age; repairable, never the truth."""
    return f"eps:owner:{{{owner}}}:vector_stores"


def file(file_id: str) -> str:
    """Hash: owner, and what is shown of the file; without an owner its bytes and passages are due to be erased."""
    return f"{_prefix_of(file_id)}file:{file_id}"


def file_stores(file_id: str) -> str:
    """Set: the vector stores that have the file."""
    return f"{file(file_id)}:stores"


def files_due(partition: str) -> str:
    """Sorted set: files by the time they are to be erased, in milliseconds; also those that are being uploaded."""
    return f"{prefix(partition)}files:due"


def file_bytes(partition: str) -> str:
    """Hash: owner → the bytes of their files."""
    return f"{prefix(partition)}files:bytes"


def files(partition: str, owner: str, purpose: str) -> str:
    """Sorted set: an owner's files of a purpose, or of "any"; all scores are 0, ids are in order of time."""
    return f"{prefix(partition)}files:of:{purpose}:{owner}"


def listing(owner: str) -> str:
    """Sorted set: an owner's conversations by their last use; repairable, never the truth."""
    return f"eps:owner:{{{owner}}}:convs"


def calibration(owner: str) -> str:
    """Hash: model → how many times our estimate of tokens it reports to this owner, and how many answers show that."""
    return f"eps:owner:{{{owner}}}:factors"


VECTORS = 8_192
"""So many vectors are kept at most: 50 MB of 1,536 numbers each."""


def vector(digest: bytes) -> str:
    """String: the vector of one of the texts that share the place, behind the digest of model and text."""
    return f"eps:vector:{int.from_bytes(digest[:4]) % VECTORS:04x}"


def all_vectors() -> list[str]:
    """The places of all vectors."""
    return [f"eps:vector:{place:04x}" for place in range(VECTORS)]


def prompt(prompt_id: str) -> str:
    """Hash: a published template: owner, default version, and its versions by their numbers."""
    return f"eps:{{prompts}}:prompt:{prompt_id}"


def withdrawn_prompt(prompt_id: str) -> str:
    """String, for a while: says that a template is gone, to whoever still publishes it."""
    return f"eps:{{prompts}}:gone:{prompt_id}"


def log_channel(response_id: str) -> str:
    """Channel: says that a log has grown or ended, or that the response's connection to the model is closed."""
    return f"{_prefix_of(response_id)}grown:{response_id}"


def replica_channel(replica_id: str) -> str:
    """Channel: responses that a replica is to stop writing, each with the epoch of whoever took it, if any did."""
    return f"eps:replica:{replica_id}"


def _prefix_of(public_id: str) -> str:
    return prefix(ids.get_partition(public_id))

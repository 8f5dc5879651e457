"""Ids that clients name. An id that cannot be ours leads to no key in Redis."""

from prompts.domain import ids
from prompts.domain.item_kinds import is_item_id
from prompts.errors import (
    InvalidRequest,
    unknown_conversation,
    unknown_file,
    unknown_file_batch,
    unknown_item,
    unknown_prompt,
    unknown_response,
    unknown_vector_store,
)


def check_kind(public_id: str, *kinds: str, param: str) -> str:
    """The id, when it is one of these kinds. Raises InvalidRequest naming the prefix expected."""
    if not any(ids.is_of_kind(public_id, kind) for kind in kinds):
        shown = public_id[:80].encode("ascii", "backslashreplace").decode()
        expected = " or ".join(f"'{ids.start_of(kind)}'" for kind in kinds)
        raise InvalidRequest(f"Invalid '{param}': '{shown}'. Expected an ID that begins with {expected}.", param=param)
    return public_id


def check_response_id(response_id: str) -> None:
    """Raises NotFound."""
    if not ids.is_well_formed(response_id, ids.RESPONSE):
        raise unknown_response(response_id)


def check_conversation_id(conversation_id: str, *, param: str = "conversation_id") -> None:
    """Raises NotFound."""
    if not ids.is_well_formed(conversation_id, ids.CONVERSATION):
        raise unknown_conversation(conversation_id, param=param)


def check_item_id(item_id: str, *, param: str) -> None:
    """Raises NotFound."""
    if not is_item_id(item_id):
        raise unknown_item(item_id, param=param)


def check_file_id(file_id: str, *, param: str = "file_id") -> None:
    """Raises NotFound."""
    if not ids.is_well_formed(file_id, ids.FILE):
        raise unknown_file(file_id, param=param)


def check_vector_store_id(store_id: str, *, param: str = "vector_store_id") -> None:
    """Raises NotFound."""
    if not ids.is_well_formed(store_id, ids.VECTOR_STORE):
        raise unknown_vector_store(store_id, param=param)


def check_file_batch_id(batch_id: str) -> None:
    """Raises NotFound."""
    if not ids.is_well_formed(batch_id, ids.FILE_BATCH):
        raise unknown_file_batch(batch_id)


def check_prompt_id(prompt_id: str, *, param: str = "prompt_id") -> None:
    """Raises NotFound."""
    if not ids.is_well_formed(prompt_id, ids.PROMPT):
        raise unknown_prompt(prompt_id, param=param)

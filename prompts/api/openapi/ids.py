"""Ids that stand in examples. A test that sends an example puts real ones in their place."""

from collections.abc import Mapping

_REST = "0701982f4c2a7b3c1e5d8f90a1b2c3d4"

EXAMPLE_RESPONSE = f"resp_{_REST}"
EXAMPLE_CONVERSATION = f"conv_{_REST}"
EXAMPLE_ITEM = f"msg_{_REST}"
EXAMPLE_FILE = f"file-{_REST}"
EXAMPLE_STORE = f"vs_{_REST}"
EXAMPLE_BATCH = f"vsfb_{_REST}"
EXAMPLE_PROMPT = f"pmpt_{_REST}"

EXAMPLE_IDS: Mapping[str, str] = {
    "response_id": EXAMPLE_RESPONSE,
    "conversation_id": EXAMPLE_CONVERSATION,
    "item_id": EXAMPLE_ITEM,
    "file_id": EXAMPLE_FILE,
    "vector_store_id": EXAMPLE_STORE,
    "batch_id": EXAMPLE_BATCH,
    "prompt_id": EXAMPLE_PROMPT,
}
"""By the names that paths have for them."""

"""Files: documents that an owner has uploaded (OpenAI's Files)."""

from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

Purpose: TypeAlias = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
"""What a file is uploaded for; only kept and shown."""


class File(Struct, frozen=True, kw_only=True):
    """One uploaded file, as it is shown. `bytes` is its size; times are Unix seconds."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | UnsetType = UNSET
    filename: str
    purpose: Purpose
    status: Literal["processed"] = "processed"
    """Deprecated by OpenAI, and still read by clients: an upload that is shown is whole."""

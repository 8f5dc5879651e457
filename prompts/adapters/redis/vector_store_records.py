"""What Redis holds of vector stores, as values."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from prompts.domain.conversations import Metadata
from prompts.domain.passages import Attributes
from prompts.domain.vector_stores import (
    Chunking,
    ExpiresAfter,
    FileBatch,
    FileCounts,
    IndexingError,
    IndexingStatus,
    OtherChunking,
    ShownChunking,
    StaticChunking,
    VectorStore,
    VectorStoreFile,
)
from prompts.ports.vector_stores import NewFile

_encode_sorted = msgspec.json.Encoder(order="sorted").encode
decode_attributes = msgspec.json.Decoder(Attributes).decode
decode_chunking = msgspec.json.Decoder(Chunking).decode
_decode_error = msgspec.json.Decoder(IndexingError).decode
_decode_metadata = msgspec.json.Decoder(Metadata).decode
_decode_text = msgspec.json.Decoder(str | None).decode

DAY_S = 24 * 3600
FILE_FIELDS = ["status", "created_ms", "usage_bytes", "error", "chunking", "attributes"]


def encode_attributes(attributes: Attributes) -> bytes:
    """The same bytes for the same attributes: in whichever order they come, and 3 is 3.0."""
    return _encode_sorted(
        {key: value if isinstance(value, (str, bool)) else float(value) for key, value in attributes.items()}
    )


def read_days(expires_after: ExpiresAfter | UnsetType | None) -> str:
    """What `update_vector_store.lua` takes."""
    if isinstance(expires_after, ExpiresAfter):
        return str(expires_after.days)
    return "" if expires_after is UNSET else "never"


def store_of(store_id: str, found: Sequence[Any]) -> VectorStore:
    """From what `get_vector_store.lua` returns."""
    name, description, metadata, created_ms, used_ms, days, usage_bytes, is_expired, *counts = found
    used_at = int(used_ms) // 1000
    file_counts = FileCounts(*counts)
    working = "in_progress" if file_counts.in_progress else "completed"
    return VectorStore(
        id=store_id,
        created_at=int(created_ms) // 1000,
        name=_decode_text(name),
        description=_decode_text(description) or UNSET,
        usage_bytes=int(usage_bytes),
        file_counts=file_counts,
        status="expired" if is_expired else working,  # type: ignore[arg-type]  # one of its words
        expires_after=ExpiresAfter(int(days)) if days else None,
        expires_at=used_at + int(days) * DAY_S if days else None,
        last_active_at=used_at,
        metadata=_decode_metadata(metadata),
    )


def file_of(store_id: str, file_id: str, row: Sequence[bytes | None]) -> VectorStoreFile | None:
    """From a row of FILE_FIELDS; None when it is not there."""
    status, created_ms, usage_bytes, error, chunking, attributes = row
    if status is None:
        return None
    shown: IndexingStatus = status.decode()  # type: ignore[assignment]  # a script wrote one of its words
    return VectorStoreFile(
        id=file_id,
        usage_bytes=int(usage_bytes or 0),
        created_at=int(created_ms or 0) // 1000,
        vector_store_id=store_id,
        status=shown,
        last_error=_decode_error(error) if error else None,
        chunking_strategy=_show(decode_chunking(chunking or b'{"type":"auto"}')),
        attributes=decode_attributes(attributes or b"{}"),
    )


def _show(chunking: Chunking) -> ShownChunking:
    return chunking if isinstance(chunking, StaticChunking) else OtherChunking()


def new_file_of(file_id: str, filename: bytes, attributes: bytes, chunking: bytes) -> NewFile:
    """A file as it is put into the index."""
    return NewFile(
        file_id=file_id,
        filename=filename.decode(),
        attributes=decode_attributes(attributes),
        chunking=decode_chunking(chunking),
    )


def batch_of(store_id: str, batch_id: str, found: Sequence[int]) -> FileBatch:
    """From what `get_file_batch.lua` returns."""
    created_ms, is_cancelled, *counts = found
    file_counts = FileCounts(*counts)
    status: IndexingStatus = "completed"
    if file_counts.in_progress:
        status = "in_progress"
    elif is_cancelled:
        status = "cancelled"
    elif file_counts.total and file_counts.failed == file_counts.total:
        status = "failed"
    return FileBatch(
        id=batch_id,
        created_at=created_ms // 1000,
        vector_store_id=store_id,
        status=status,
        file_counts=file_counts,
    )

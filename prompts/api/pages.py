"""Lists, page by page: what is asked for, and how a page is written."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from prompts.ports.pages import Page
from prompts.usecases.public_ids import check_kind

encode = msgspec.json.Encoder().encode

Limit = Annotated[int, Meta(ge=1, le=100, description="How many at most.")]
Order = Annotated[Literal["asc", "desc"], Meta(description="Oldest or newest first.")]


class _RawList(Struct):
    """Any of the lists, of entries as they are stored."""

    data: list[msgspec.Raw]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


def encode_page(page: Page) -> bytes:
    """The page as JSON, its entries as they are."""
    data = [msgspec.Raw(entry) for entry in page.data]
    return encode(_RawList(data, page.first_id, page.last_id, page.has_more))


def check_cursors(kind: str, **cursors: str | None) -> None:
    """Raises InvalidRequest for a cursor that is an id of another kind, naming its parameter."""
    for param, cursor in cursors.items():
        if cursor is not None:
            check_kind(cursor, kind, param=param)

"""Passages: stretches of a file's text, as they are found and as they are cited."""

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

Attributes: TypeAlias = dict[str, str | float | bool]
"""What is known of a file in a vector store, to filter by: at most 16 keys of 64 characters, texts of 512."""


class Block(Struct, frozen=True, omit_defaults=True):
    """A piece of a document as its author made it, in reading order.

    `level` is a heading's, 1 to 6. `page` counts from 1: a page, a slide or a sheet; None where there are none.
    """

    text: str
    kind: Literal["heading", "paragraph", "code", "table"] = "paragraph"
    level: int = 0
    page: int | None = None


class Stretch(Struct, frozen=True, omit_defaults=True):
    """A passage before anybody looks for it: what is indexed. `number` counts a file's passages from 0.

    `heading` is the path of headings above it ("Install › On Linux"), "" where there is none. `tokens` is an estimate.
    `start` is where it begins in the file's whole text, in characters: neighbours that overlap can be joined.
    """

    number: int
    text: str
    heading: str = ""
    page: int | None = None
    tokens: int = 0
    start: int = 0


class Passage(Struct, frozen=True, kw_only=True):
    """A stretch that was found, where it stands, and how well it fits: 0 to 1, more is better.

    `index` is its place among those that the model was given, from 1, and its marker in the text; 0 before that.
    """

    vector_store_id: str
    file_id: str
    filename: str
    number: int
    text: str
    score: float
    heading: str = ""
    page: int | None = None
    tokens: int = 0
    start: int = 0
    attributes: Attributes = {}
    index: int = 0
    search_id: str = ""
    """The item of the search that the model was given it by; "" before that."""


class FileCitation(Struct, frozen=True, tag_field="type", tag="file_citation"):
    """The annotation that ties an answer to a passage; `index` is where it stands in the shown text, in characters."""

    file_id: str
    filename: str
    index: int
    passage: int | UnsetType = field(default=UNSET, name="eps:passage")
    """The passage's own `index` among those that the model was given."""


class SearchResult(Struct, frozen=True):
    """A passage as a `file_search_call` shows it to those who ask for its results."""

    file_id: str
    filename: str
    score: float
    text: str
    attributes: Attributes = {}
    vector_store_id: str | UnsetType = UNSET


class Comparison(Struct, frozen=True, kw_only=True):
    """One attribute beside one value, or a list of them (`in`, `nin`).

    A file without the attribute fits `ne` and `nin` only, and so does a value of another kind (text, number, truth).
    Texts are ordered by their characters' numbers (an index may look at the first 32 bytes alone), `false` is below
    `true`.
    """

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str
    value: str | float | bool | list[str | float | bool]


class Compound(Struct, frozen=True, kw_only=True):
    """All of these, or any of these."""

    type: Literal["and", "or"]
    filters: list[Any]
    """Of `Comparison` and `Compound`; checked where they are read."""


Filter: TypeAlias = Comparison | Compound

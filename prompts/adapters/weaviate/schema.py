"""The collection of passages: a tenant a vector store, every property declared.

    text heading page tokens start filename attributes      for whoever reads a passage; not indexed
    words                                                   stems of name, heading and text, to search in
                                                            (`prompts/adapters/search_words.py`). One property: of
                                                            several Weaviate adds the scores, and a rare word in a
                                                            short heading then beats everything else
    terms                                                   attributes, to filter by (`attribute_terms.py`)
    file_id number                                          to replace and to remove

The vectors are ours, under a name that is made from the model's: another model's are beside them, never among them.
"""

import hashlib
from collections.abc import Sequence

from weaviate import WeaviateAsyncClient
from weaviate.classes.config import Configure, DataType, Property, StopwordsPreset, Tokenization
from weaviate.collections import CollectionAsync
from weaviate.exceptions import UnexpectedStatusCodeError

from prompts.adapters.weaviate.attribute_terms import PROPERTY

COLLECTION = "EpsPassages"
WORDS = "words"
SHOWN = ("file_id", "number", "text", "heading", "page", "tokens", "start", "filename", "attributes")


def name_vector(model: str | None) -> str:
    """The name of a model's vectors; those of no model are never filled."""
    return "none" if model is None else f"m_{hashlib.sha256(model.encode()).hexdigest()[:16]}"


def list_properties() -> Sequence[Property]:
    """A later release may add some; one that exists never changes."""
    return [
        *(_stored(name, DataType.TEXT) for name in ("text", "heading", "filename", "attributes")),
        *(_stored(name, DataType.INT) for name in ("page", "tokens", "start")),
        _searched(WORDS),
        _filtered(PROPERTY, DataType.TEXT_ARRAY),
        _filtered("file_id", DataType.TEXT),
        Property(name="number", data_type=DataType.INT, index_filterable=False, index_range_filters=True),
    ]


async def prepare(client: WeaviateAsyncClient, collection: str, vector_name: str) -> None:
    """Make the collection, or add what an earlier release has not. Replicas may do it at once: what one did is done."""
    if not await client.collections.exists(collection):
        try:
            await _create(client, collection, vector_name)
        except UnexpectedStatusCodeError:
            if not await client.collections.exists(collection):
                raise
    await _complete(client.collections.use(collection), vector_name)


async def _create(client: WeaviateAsyncClient, collection: str, vector_name: str) -> None:
    await client.collections.create(
        collection,
        properties=list_properties(),
        vector_config=[Configure.Vectors.self_provided(name=vector_name)],
        # Put creates tenants itself: a batch that comes late must not bring a removed one back.
        multi_tenancy_config=Configure.multi_tenancy(
            enabled=True, auto_tenant_creation=False, auto_tenant_activation=True
        ),
        inverted_index_config=Configure.inverted_index(stopwords_preset=StopwordsPreset.NONE),
    )


async def _complete(passages: "CollectionAsync[dict[str, object], None]", vector_name: str) -> None:
    has = await passages.config.get()
    names = {known.name for known in has.properties}
    for wanted in list_properties():
        if wanted.name not in names:
            try:
                await passages.config.add_property(wanted)
            except UnexpectedStatusCodeError:
                if wanted.name not in {known.name for known in (await passages.config.get()).properties}:
                    raise
    if vector_name not in (has.vector_config or {}):
        try:
            await passages.config.add_vector(vector_config=Configure.Vectors.self_provided(name=vector_name))
        except UnexpectedStatusCodeError:
            if vector_name not in ((await passages.config.get()).vector_config or {}):
                raise


def _stored(name: str, data_type: DataType) -> Property:
    is_text = data_type is DataType.TEXT
    return Property(name=name, data_type=data_type, index_filterable=False, index_searchable=False if is_text else None)


def _searched(name: str) -> Property:
    return Property(
        name=name,
        data_type=DataType.TEXT,
        tokenization=Tokenization.WHITESPACE,
        index_filterable=False,
        index_searchable=True,
    )


def _filtered(name: str, data_type: DataType) -> Property:
    return Property(
        name=name,
        data_type=data_type,
        tokenization=Tokenization.FIELD,
        index_filterable=True,
        index_searchable=False,
    )

"""`/v1/vector_stores`: create, retrieve, update, list, delete and search."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from django.http import HttpResponse
from dmr import Path, Query, ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import UNSET, Meta, Struct

from prompts.api.controller import ApiController, json_response
from prompts.api.openapi.document import BODY_ERRORS, ERRORS
from prompts.api.openapi.examples import CREATE_VECTOR_STORE, SEARCH_VECTOR_STORE, UPDATE_VECTOR_STORE
from prompts.api.pages import Limit, Order, check_cursors, encode_page
from prompts.api.wire.filters import read_filter
from prompts.api.wire.ids import VectorStoreId
from prompts.api.wire.vector_stores import (
    CreateVectorStore,
    SearchVectorStore,
    UpdateVectorStore,
    read_expiry,
    read_file_ids,
    read_ranking,
)
from prompts.domain import ids
from prompts.domain.passages import Attributes, Passage
from prompts.domain.vector_stores import VectorStore
from prompts.usecases.public_ids import check_kind
from prompts.usecases.search import search
from prompts.usecases.vector_stores import (
    create_vector_store,
    delete_vector_store,
    get_vector_store,
    list_vector_stores,
    update_vector_store,
)

encode = msgspec.json.Encoder().encode

DEFAULT_FOUND = 10  # OpenAI's


class VectorStorePath(Struct):
    """`/v1/vector_stores/{vector_store_id}`."""

    vector_store_id: VectorStoreId


class VectorStoresQuery(Struct, forbid_unknown_fields=True):
    """The query of `GET /v1/vector_stores`."""

    limit: Limit = 20
    order: Order = "desc"
    after: VectorStoreId | None = None
    before: VectorStoreId | None = None


class VectorStoreList(Struct):
    """One page of vector stores."""

    data: list[VectorStore]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class DeletedVectorStore(Struct):
    """What is left of a deleted vector store."""

    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: bool = True


class TextContent(Struct):
    """A text."""

    text: str
    type: Literal["text"] = "text"


class FoundPassage(Struct):
    """A passage that was found, and how well it fits: 0 to 1."""

    file_id: str
    filename: str
    score: Annotated[float, Meta(ge=0, le=1)]
    attributes: Attributes
    content: list[TextContent]


class SearchResults(Struct):
    """What a search has found, the best first. It is one page."""

    search_query: list[str]
    data: list[FoundPassage]
    has_more: bool = False
    next_page: str | None = None
    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"


class VectorStoresController(ApiController):
    """Vector stores of the key's owner."""

    tags = ["Vector stores"]

    @validate(ResponseSpec(VectorStore, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="createVectorStore")
    async def post(
        self, parsed_body: Annotated[BodyMsgspec[CreateVectorStore | None], CREATE_VECTOR_STORE]
    ) -> HttpResponse:
        """Create a vector store, with up to 500 files to be indexed."""
        self.check_quota()
        body = parsed_body or CreateVectorStore()
        store = await create_vector_store(
            owner=self.owner,
            name=body.name,
            description=body.description,
            metadata=body.metadata or {},
            expires_after=read_expiry(body.expires_after),
            files=read_file_ids(body.file_ids, attributes=None, chunking=body.chunking_strategy),
            ports=self.state.vector_stores,
        )
        return self.render(encode(store))

    @validate(ResponseSpec(VectorStoreList, status_code=HTTPStatus.OK), *ERRORS, operation_id="listVectorStores")
    async def get(self, parsed_query: Query[VectorStoresQuery]) -> HttpResponse:
        """One page of the owner's vector stores, newest first unless asked otherwise."""
        check_cursors(ids.VECTOR_STORE, after=parsed_query.after, before=parsed_query.before)
        page = await list_vector_stores(
            owner=self.owner,
            limit=parsed_query.limit,
            order=parsed_query.order,
            after=parsed_query.after,
            before=parsed_query.before,
            ports=self.state.vector_stores,
        )
        return json_response(encode_page(page))


class VectorStoreController(ApiController):
    """One vector store."""

    tags = ["Vector stores"]

    @validate(ResponseSpec(VectorStore, status_code=HTTPStatus.OK), *ERRORS, operation_id="getVectorStore")
    async def get(self, parsed_path: Path[VectorStorePath]) -> HttpResponse:
        """The vector store, and how many of its files stand where."""
        store_id = read_store_id(parsed_path.vector_store_id)
        found = await get_vector_store(store_id, owner=self.owner, ports=self.state.vector_stores)
        return json_response(encode(found))

    @validate(ResponseSpec(VectorStore, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="updateVectorStore")
    async def post(
        self,
        parsed_path: Path[VectorStorePath],
        parsed_body: Annotated[BodyMsgspec[UpdateVectorStore], UPDATE_VECTOR_STORE],
    ) -> HttpResponse:
        """Change what is given; null takes it away."""
        expires_after = parsed_body.expires_after
        updated = await update_vector_store(
            read_store_id(parsed_path.vector_store_id),
            owner=self.owner,
            name=parsed_body.name,
            metadata=parsed_body.metadata if parsed_body.metadata is not None else {},
            expires_after=UNSET if expires_after is UNSET else read_expiry(expires_after),
            ports=self.state.vector_stores,
        )
        return self.render(encode(updated))

    @validate(ResponseSpec(DeletedVectorStore, status_code=HTTPStatus.OK), *ERRORS, operation_id="deleteVectorStore")
    async def delete(self, parsed_path: Path[VectorStorePath]) -> HttpResponse:
        """Delete the vector store and what is indexed of its files; the files stay."""
        store_id = read_store_id(parsed_path.vector_store_id)
        await delete_vector_store(store_id, owner=self.owner, ports=self.state.vector_stores)
        return json_response(encode(DeletedVectorStore(store_id)))


class VectorStoreSearchController(ApiController):
    """Search a vector store."""

    tags = ["Vector stores"]
    changes_nothing = True

    @validate(ResponseSpec(SearchResults, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="searchVectorStore")
    async def post(
        self,
        parsed_path: Path[VectorStorePath],
        parsed_body: Annotated[BodyMsgspec[SearchVectorStore], SEARCH_VECTOR_STORE],
    ) -> HttpResponse:
        """The passages that fit the query best, of files that are indexed and fit the filters."""
        if parsed_body.rewrite_query:
            self.unknown.leave_out("rewrite_query", "field")
        queries = [parsed_body.query] if isinstance(parsed_body.query, str) else parsed_body.query
        found = await search(
            queries,
            store_ids=[read_store_id(parsed_path.vector_store_id)],
            owner=self.owner,
            where=None if parsed_body.filters is None else read_filter(parsed_body.filters, "filters"),
            limit=parsed_body.max_num_results or DEFAULT_FOUND,
            ranking=read_ranking(parsed_body.ranking_options),
            ports=self.state.search,
        )
        return self.render(encode(SearchResults(queries, show_passages(found))))


def read_store_id(store_id: str) -> str:
    """The id of a path. Raises InvalidRequest for one of another kind."""
    return check_kind(store_id, ids.VECTOR_STORE, param="vector_store_id")


def show_passages(found: Sequence[Passage]) -> list[FoundPassage]:
    """The passages as the API shows them."""
    return [
        FoundPassage(
            file_id=passage.file_id,
            filename=passage.filename,
            score=passage.score,
            attributes=passage.attributes,
            content=[TextContent(passage.text)],
        )
        for passage in found
    ]

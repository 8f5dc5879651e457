"""`/v1/conversations` and their items: create, retrieve, update, list."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, ClassVar, Literal

import msgspec
from django.http import HttpResponse
from dmr import Path, Query, ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from prompts.api.controller import ApiController, json_response
from prompts.api.openapi.document import BODY_ERRORS, ERRORS, refusals
from prompts.api.openapi.examples import CREATE_CONVERSATION, CREATE_ITEMS, FORK_CONVERSATION, UPDATE_CONVERSATION
from prompts.api.pages import Limit, Order, check_cursors, encode_page
from prompts.api.wire.ids import ConversationId, ItemId
from prompts.api.wire.include import SEARCH_RESULTS, Include, check_include
from prompts.api.wire.item_reader import place_call, read_items
from prompts.api.wire.items import MAX_ITEMS_A_CALL, InputItem, Metadata
from prompts.domain import ids
from prompts.domain.conversations import Conversation
from prompts.domain.item_kinds import ITEM_ID_PREFIXES
from prompts.domain.items import Item
from prompts.domain.responses import Notice
from prompts.errors import InvalidRequest, UnknownCall
from prompts.usecases.conversations import (
    add_items,
    create_conversation,
    delete_conversation,
    delete_item,
    fork_conversation,
    get_conversation,
    get_item,
    list_items,
    update_conversation,
)
from prompts.usecases.listing import list_conversations
from prompts.usecases.passages import show_results
from prompts.usecases.public_ids import check_kind
from prompts.usecases.scopes import check_items

encode = msgspec.json.Encoder().encode

Title = Annotated[str, Meta(max_length=200)]


class ConversationBody(Struct):
    """A conversation as the API shows it."""

    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]
    title: str | None = field(name="eps:title")
    active_response_id: str | None = field(name="eps:active_response_id")
    forked_from: str | None = field(name="eps:forked_from")
    last_used_at: int | UnsetType = field(default=UNSET, name="eps:last_used_at")


class CreateConversation(Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/conversations`."""

    items: Annotated[list[InputItem], Meta(max_length=MAX_ITEMS_A_CALL)] | None = None
    metadata: Metadata | None = None
    title: Title | None = field(default=None, name="eps:title")


class UpdateConversation(Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/conversations/{id}`: the new metadata takes the place of the old.

    The title stays unless there is a new one; an empty one takes it away.
    """

    metadata: Metadata | None
    title: Title | None = field(default=None, name="eps:title")


class CreateItems(Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/conversations/{id}/items`."""

    items: Annotated[list[InputItem], Meta(min_length=1, max_length=MAX_ITEMS_A_CALL)]


class ConversationPath(Struct):
    """`/v1/conversations/{conversation_id}`."""

    conversation_id: ConversationId


class ItemPath(Struct):
    """`/v1/conversations/{conversation_id}/items/{item_id}`."""

    conversation_id: ConversationId
    item_id: ItemId


class ForkConversation(Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/conversations/{id}/fork`: up to just before, or just after, an item; or all of it.

    Without metadata or a title the fork has those of its origin.
    """

    before: ItemId | None = None
    after: ItemId | None = None
    metadata: Metadata | None = None
    title: Title | None = field(default=None, name="eps:title")


class DeletedConversation(Struct):
    """What is left of a deleted conversation."""

    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: bool = True


class ConversationsQuery(Struct, forbid_unknown_fields=True):
    """The query of `GET /v1/conversations`."""

    limit: Limit = 20
    after: ConversationId | None = None
    query: Annotated[
        str, Meta(max_length=200, description="Only those with all these words in their title, or in a message.")
    ] = ""
    forked_from: ConversationId | None = None


class ItemsQuery(Struct, forbid_unknown_fields=True):
    """The query of `GET /v1/conversations/{id}/items`."""

    __dmr_force_list__: ClassVar[frozenset[str]] = frozenset({"include[]"})

    include: Include = field(default_factory=list, name="include[]")
    limit: Limit = 20
    order: Order = "desc"
    after: ItemId | None = None


class ConversationList(Struct):
    """One page of conversations, last used first."""

    data: list[ConversationBody]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"
    notices: list[Notice] | UnsetType = field(default=UNSET, name="eps:notices")


class ItemList(Struct):
    """One page of items."""

    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class ConversationsController(ApiController):
    """Conversations of the key's owner."""

    tags = ["Conversations"]

    @validate(
        ResponseSpec(ConversationBody, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="createConversation"
    )
    async def post(
        self, parsed_body: Annotated[BodyMsgspec[CreateConversation | None], CREATE_CONVERSATION]
    ) -> HttpResponse:
        """Create a conversation, with up to 1,000 items."""
        self.check_quota()
        body = parsed_body or CreateConversation()
        new_items = read_items(body.items or [], param="items", sender=self.sender)
        try:
            conversation = await create_conversation(
                owner=self.owner,
                metadata=body.metadata or {},
                title=body.title,
                new_items=new_items,
                store=self.state.conversations,
                files=self.state.files,
            )
        except UnknownCall as error:
            raise place_call(error, body.items, param="items") from None
        return self.render(encode(show(conversation)))

    @validate(ResponseSpec(ConversationList, status_code=HTTPStatus.OK), *ERRORS, operation_id="listConversations")
    async def get(self, parsed_query: Query[ConversationsQuery]) -> HttpResponse:
        """The owner's conversations, last used first; with `forked_from` the forks of one, the newest first."""
        check_cursors(ids.CONVERSATION, after=parsed_query.after)
        forked_from = parsed_query.forked_from
        if forked_from is not None:
            check_kind(forked_from, ids.CONVERSATION, param="forked_from")
        listed = await list_conversations(
            owner=self.owner,
            limit=parsed_query.limit,
            after=parsed_query.after,
            forked_from=forked_from,
            query=parsed_query.query,
            store=self.state.conversations,
            past=self.state.past,
            said=self.state.said,
        )
        data = [show(conversation) for conversation in listed.conversations]
        first_id, last_id = (data[0].id, data[-1].id) if data else (None, None)
        notices = list(listed.notices) or UNSET
        return json_response(encode(ConversationList(data, first_id, last_id, listed.has_more, notices=notices)))


class ConversationController(ApiController):
    """One conversation."""

    tags = ["Conversations"]
    reach = "conversation"

    @validate(ResponseSpec(ConversationBody, status_code=HTTPStatus.OK), *ERRORS, operation_id="getConversation")
    async def get(self, parsed_path: Path[ConversationPath]) -> HttpResponse:
        """The conversation, and which response is active on it."""
        conversation_id = _conversation_id(parsed_path)
        found = await get_conversation(conversation_id, owner=self.owner, store=self.state.conversations)
        return json_response(encode(show(found)))

    @validate(
        ResponseSpec(ConversationBody, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="updateConversation"
    )
    async def post(
        self,
        parsed_path: Path[ConversationPath],
        parsed_body: Annotated[BodyMsgspec[UpdateConversation], UPDATE_CONVERSATION],
    ) -> HttpResponse:
        """Replace the metadata, and the title when there is a new one."""
        updated = await update_conversation(
            _conversation_id(parsed_path),
            owner=self.owner,
            metadata=parsed_body.metadata or {},
            title=parsed_body.title,
            store=self.state.conversations,
        )
        return self.render(encode(show(updated)))

    @validate(ResponseSpec(DeletedConversation, status_code=HTTPStatus.OK), *ERRORS, operation_id="deleteConversation")
    async def delete(self, parsed_path: Path[ConversationPath]) -> HttpResponse:
        """Erase the conversation and everything below it; a response that is being written to it ends."""
        conversation_id = _conversation_id(parsed_path)
        state = self.state
        await delete_conversation(conversation_id, owner=self.owner, store=state.conversations, eraser=state.eraser)
        return json_response(encode(DeletedConversation(conversation_id)))


class ForkController(ApiController):
    """Fork a conversation."""

    tags = ["Conversations"]

    @validate(ResponseSpec(ConversationBody, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="forkConversation")
    async def post(
        self,
        parsed_path: Path[ConversationPath],
        parsed_body: Annotated[BodyMsgspec[ForkConversation | None], FORK_CONVERSATION],
    ) -> HttpResponse:
        """A new conversation that shares the history up to an item, or all of it; it is erased with its origin."""
        body = parsed_body or ForkConversation()
        if body.before is not None and body.after is not None:
            raise InvalidRequest("'before' and 'after' are mutually exclusive. Send one of the two.", param="after")
        self.check_quota()
        forked = await fork_conversation(
            _conversation_id(parsed_path),
            owner=self.owner,
            before=body.before,
            after=body.after,
            metadata=body.metadata,
            title=body.title,
            store=self.state.conversations,
        )
        return self.render(encode(show(forked)))


class ItemController(ApiController):
    """One item of a conversation."""

    tags = ["Conversations"]
    reach = "conversation"

    @validate(ResponseSpec(Item, status_code=HTTPStatus.OK), *ERRORS, operation_id="getConversationItem")
    async def get(self, parsed_path: Path[ItemPath]) -> HttpResponse:
        """The item as stored."""
        conversation_id, item_id = _item_place(parsed_path)
        return json_response(await get_item(conversation_id, item_id, owner=self.owner, store=self.state.conversations))

    @validate(ResponseSpec(ConversationBody, status_code=HTTPStatus.OK), *ERRORS, operation_id="deleteConversationItem")
    async def delete(self, parsed_path: Path[ItemPath]) -> HttpResponse:
        """Erase the item from the history, and from every fork that shares it; gives the conversation."""
        conversation_id, item_id = _item_place(parsed_path)
        left = await delete_item(conversation_id, item_id, owner=self.owner, store=self.state.conversations)
        return json_response(encode(show(left)))


class ItemsController(ApiController):
    """The items of a conversation."""

    tags = ["Conversations"]
    reach = "conversation"

    @validate(ResponseSpec(ItemList, status_code=HTTPStatus.OK), *ERRORS, operation_id="listConversationItems")
    async def get(self, parsed_path: Path[ConversationPath], parsed_query: Query[ItemsQuery]) -> HttpResponse:
        """One page of the items, newest first unless asked otherwise."""
        check_include(parsed_query.include, self.unknown)
        page = await list_items(
            _conversation_id(parsed_path),
            owner=self.owner,
            limit=parsed_query.limit,
            order=parsed_query.order,
            after=parsed_query.after,
            store=self.state.conversations,
        )
        if SEARCH_RESULTS in parsed_query.include:
            shown = await show_results(page.data, owner=self.owner, store=self.state.turns.store)
            page = replace(page, data=shown)
        return self.render(encode_page(page))

    @validate(
        ResponseSpec(ItemList, status_code=HTTPStatus.OK),
        *BODY_ERRORS,
        *refusals(HTTPStatus.CONFLICT),
        operation_id="createConversationItems",
    )
    async def post(
        self, parsed_path: Path[ConversationPath], parsed_body: Annotated[BodyMsgspec[CreateItems], CREATE_ITEMS]
    ) -> HttpResponse:
        """Append up to 1,000 items; they come back in the order given."""
        self.check_quota()
        new_items = read_items(parsed_body.items, param="items", sender=self.sender)
        check_items(self.caller, new_items, param="items")
        try:
            items = await add_items(
                _conversation_id(parsed_path),
                owner=self.owner,
                new_items=new_items,
                store=self.state.conversations,
                files=self.state.files,
            )
        except UnknownCall as error:
            raise place_call(error, parsed_body.items, param="items") from None
        body = ItemList(list(items), items[0].id, items[-1].id, has_more=False)
        return self.render(encode(body))


def _conversation_id(path: ConversationPath) -> str:
    return check_kind(path.conversation_id, ids.CONVERSATION, param="conversation_id")


def _item_place(path: ItemPath) -> tuple[str, str]:
    conversation_id = check_kind(path.conversation_id, ids.CONVERSATION, param="conversation_id")
    return conversation_id, check_kind(path.item_id, *ITEM_ID_PREFIXES, param="item_id")


def show(conversation: Conversation) -> ConversationBody:
    """The conversation as the API shows it."""
    return ConversationBody(
        id=conversation.id,
        object=conversation.object,
        created_at=conversation.created_at,
        metadata=conversation.metadata,
        title=conversation.title,
        active_response_id=conversation.active_response_id,
        forked_from=conversation.forked_from,
        last_used_at=UNSET if conversation.last_used_ms is None else conversation.last_used_ms // 1000,
    )

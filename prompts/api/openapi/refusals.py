"""Every error that a client can meet: when, what to do, and an example, for the OpenAPI document and its page.

A row is needed for each code of `prompts/errors.py`; tests miss it, and hold each example to an error that really came.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from prompts import errors
from prompts.api.openapi.ids import (
    EXAMPLE_BATCH,
    EXAMPLE_CONVERSATION,
    EXAMPLE_FILE,
    EXAMPLE_ITEM,
    EXAMPLE_PROMPT,
    EXAMPLE_RESPONSE,
    EXAMPLE_STORE,
)
from prompts.errors import NotFound, ServiceError


@dataclass(frozen=True)
class Place:
    """An operation of the document."""

    operation_id: str
    path: str
    has_body: bool
    asks_model: bool


At: TypeAlias = Callable[[Place], bool]


@dataclass(frozen=True)
class Refusal:
    """One code. It is shown at the operations that document its status and are among `at`."""

    shown: ServiceError
    when: str
    remedy: str
    at: At = lambda _: True

    @property
    def code(self) -> str:
        return self.shown.code


def _only(*operation_ids: str) -> At:
    return lambda place: place.operation_id in operation_ids


def _below(param: str, *operation_ids: str) -> At:
    """Where the path names such an id, and at these operations."""
    return lambda place: f"{{{param}}}" in place.path or place.operation_id in operation_ids


def _asks_model(place: Place) -> bool:
    return place.asks_model


def _never(_: Place) -> bool:
    """No operation answers so: the request has not come as far."""
    return False


_TURN = ("createResponse",)
_HISTORY = ("createResponse", "compactHistory", "countInputTokens")
_RUNS = ("createResponse", "compactHistory", "suggestFollowUps", "createChatCompletion", "createEmbeddings")
_ITEMS = (*_HISTORY, "createConversation", "createConversationItems")
_KEEPS = (
    *("createResponse", "compactHistory", "createConversation", "forkConversation", "createConversationItems"),
    *("uploadFile", "createVectorStore", "attachFile", "createFileBatch", "createPrompt", "updatePrompt"),
)

REFUSALS = (
    Refusal(
        errors.InvalidRequest(
            "Invalid 'input[0].role': must be 'user', 'assistant', 'system' or 'developer', not 'boss'.",
            param="input[0].role",
        ),
        "Malformed JSON, a wrong type, a value out of range, an id of the wrong kind, fields that exclude each other.",
        "Correct the place that `param` names.",
    ),
    Refusal(
        errors.UnsupportedParameter(
            "'background' is for HTTP: a WebSocket always streams, and to its own client. Leave it out.",
            param="background",
        ),
        "A WebSocket cannot honour it: `stream`, `stream_options`, `background`.",
        "Leave it out, or send the turn over HTTP.",
        _never,
    ),
    Refusal(
        errors.InvalidEncryptedContent(param="input[0].encrypted_content"),
        "A sealed text that another server or another owner has sealed, or that was changed.",
        "Send the messages that it stands for, or begin a new conversation.",
        _only(*_ITEMS),
    ),
    Refusal(
        errors.InvalidPrompt("The model's server refused the input as invalid. Change the input or its parameters."),
        "The model's server refuses the input.",
        "Change the input, or leave out parameters that the model may not know.",
        _only(*_TURN, "compactHistory"),
    ),
    Refusal(
        errors.InvalidImage(
            "Invalid 'input[0].content[0].image_url': the image is not valid base64. Encode it again.",
            param="input[0].content[0].image_url",
        ),
        "An image that cannot be read.",
        "Encode it again, as PNG, JPEG, GIF or WebP.",
        _only(*_ITEMS),
    ),
    Refusal(
        errors.PromptTooLong("The input is longer than the model can take. Shorten it.", param="input"),
        "The input is longer than the model can take.",
        'Shorten it, compact the history, or send `truncation: "auto"`.',
        _only(*_TURN, "compactHistory"),
    ),
    Refusal(
        errors.HistoryTooDeep(param="conversation_id"),
        "A history of as many pieces as one may have: forks of forks.",
        "Begin a new conversation with the items that are still needed, or compact the history.",
        _only(*_TURN, "compactHistory", "forkConversation", "createConversationItems"),
    ),
    Refusal(
        errors.InvalidApiKey("You did not provide an API key. Send it as 'Authorization: Bearer <key>'."),
        "No key, or one that is not valid any more.",
        "Send `Authorization: Bearer <key>` with a key of this server's.",
    ),
    Refusal(
        errors.ClientSecretExpired(),
        "A client secret whose time is over.",
        "Get the next one from the server that gave it, and send the request again.",
    ),
    Refusal(
        errors.SignedOut(),
        "The page asks for a secret, and nobody is signed in any more.",
        "Sign in again.",
        _never,
    ),
    Refusal(
        errors.InsufficientScope(
            "This needs the scope 'write', and this client secret has 'read'. Make one with it, or use a key."
        ),
        "A key or a client secret that was not made for this.",
        "Use one with the scope that is named; or a secret for the conversation, or for none.",
    ),
    Refusal(
        errors.OriginNotAllowed("https://elsewhere.example"),
        "A page of another site, which the key's project does not list.",
        "Let the operator add the site to the project's allowed origins.",
    ),
    Refusal(
        errors.ForgedRequest(),
        "A request of the page without its token.",
        "Load the page again.",
        _never,
    ),
    Refusal(
        errors.unknown_response(EXAMPLE_RESPONSE),
        "A response that is unknown, deleted, not stored, or another owner's.",
        "Check the id, and whose key you send.",
        _below("response_id"),
    ),
    Refusal(
        errors.unknown_previous_response(EXAMPLE_RESPONSE),
        "The same of the response to continue from.",
        "Check the id. What was sent with `store: false` cannot be continued.",
        _only(*_HISTORY),
    ),
    Refusal(
        errors.unknown_conversation(EXAMPLE_CONVERSATION),
        "A conversation that is unknown, deleted, expired, or another owner's.",
        "Check the id, or create a conversation.",
        _below("conversation_id", "createResponse", "countInputTokens", "listConversations", "createClientSecret"),
    ),
    Refusal(
        errors.unknown_item(EXAMPLE_ITEM, param="item_id"),
        "An item that is unknown, erased, or in another conversation.",
        "Check the id.",
        _below("item_id", *_ITEMS, "listConversationItems", "listInputItems", "forkConversation"),
    ),
    Refusal(
        NotFound(
            f"Nobody has given feedback on the response '{EXAMPLE_RESPONSE}' yet. PUT some first.",
            code="feedback_not_found",
            param="response_id",
        ),
        "Nobody has given feedback yet.",
        "PUT some first.",
        _only("getFeedback"),
    ),
    Refusal(
        errors.unknown_file(EXAMPLE_FILE),
        "A file that is unknown, deleted, expired, or another owner's.",
        "Check the id, or upload the file again.",
        _below("file_id", *_ITEMS, "listFiles", "createVectorStore", "attachFile", "createFileBatch"),
    ),
    Refusal(
        errors.unknown_vector_store(EXAMPLE_STORE),
        "A vector store that is unknown, deleted, or another owner's.",
        "Check the id.",
        _below("vector_store_id", *_TURN, "listVectorStores"),
    ),
    Refusal(
        errors.expired_vector_store(EXAMPLE_STORE),
        "A vector store whose time is over is searched, changed or filled.",
        "Make a new one with its files.",
        _only(
            *("searchVectorStore", "updateVectorStore", "attachFile", "setFileAttributes", "createFileBatch"),
        ),
    ),
    Refusal(
        errors.unknown_file_batch(EXAMPLE_BATCH),
        "A file batch that is unknown, or of another vector store.",
        "Check both ids.",
        _below("batch_id"),
    ),
    Refusal(
        errors.unknown_prompt(EXAMPLE_PROMPT),
        "A prompt template, or a version of it, that is unknown, deleted, or another owner's.",
        "Check the id and the version.",
        _below("prompt_id", *_HISTORY, "listPrompts"),
    ),
    Refusal(
        NotFound(
            "The model 'gpt-nope' does not exist. GET /v1/models lists those that do.",
            code="model_not_found",
            param="model",
        ),
        "The model's server has no such model.",
        "Choose one that `GET /v1/models` lists, or leave `model` out.",
        _only(*_HISTORY, "createChatCompletion", "createEmbeddings", "getModel"),
    ),
    Refusal(
        errors.unknown_url("GET", "/v1/respones"),
        "There is no such path; of what is handed on, at the model's server.",
        "Check the path and the base URL, which ends in `/v1`.",
        _only("createChatCompletion", "createEmbeddings"),
    ),
    Refusal(
        errors.MethodNotAllowed("PATCH is not allowed on /v1/responses. Use POST."),
        "The path does not take this method.",
        "Use one that `Allow` lists.",
        _never,
    ),
    Refusal(
        errors.BodyTooSlow("The body came too slowly. Send the request again.", retry_after_s=1),
        "A body that hardly comes.",
        "Send it again.",
        _never,
    ),
    Refusal(
        errors.conversation_locked(EXAMPLE_CONVERSATION, EXAMPLE_RESPONSE),
        "Another response is active on the conversation, and somebody follows it.",
        "Wait for its end, follow or cancel `active_response_id`, or send `eps:if_busy`.",
        _only(*_TURN, "createConversationItems"),
    ),
    Refusal(
        errors.response_not_ended(EXAMPLE_RESPONSE, "in_progress"),
        "A response that is active, or has failed, cannot be continued from.",
        "Wait for its end; after a failure continue from the response before it.",
        _only(*_HISTORY, "suggestFollowUps"),
    ),
    Refusal(
        errors.ResponseEnded("Cannot cancel a response that is completed.", param="response_id"),
        "What has ended cannot be cancelled.",
        "Nothing: read the response.",
        _only("cancelResponse"),
    ),
    Refusal(
        errors.PromptChanged(
            f"Version 1 of prompt '{EXAMPLE_PROMPT}' is not the latest: version 2 is. Look at that one, and send your "
            "change again.",
            param="version",
        ),
        "A new version of a template was to follow on one that is not the latest.",
        "Read the latest version, and send your change again.",
        _only("updatePrompt"),
    ),
    Refusal(
        errors.StreamExpired(
            "The events of this response are no longer kept. Read the response, or stream it from its start.",
            param="starting_after",
        ),
        "The log that `starting_after` points into is over.",
        "Read the response, or stream it without a cursor.",
        _only("createResponse", "getResponse"),
    ),
    Refusal(
        errors.BodyTooLarge("The body is larger than 10 MB. Send less at once."),
        "A body of more than 10 MB, a file of more than `MAX_FILE_MB`, or too many values in it.",
        "Send less at once; upload files, and name them by their ids.",
        lambda place: place.has_body,
    ),
    Refusal(
        errors.HeadTooLarge("The request has more than 65,536 bytes of headers. Send fewer."),
        "A request line and headers of more than 64 KB.",
        "Send fewer headers.",
        _never,
    ),
    Refusal(
        errors.key_reused(),
        "The same `Idempotency-Key` with another body.",
        "Choose a new key for a new request.",
        _only(*_TURN, "compactHistory"),
    ),
    Refusal(
        errors.WebSocketsOff("This server speaks no WebSocket. Send the request over HTTP, with 'stream': true."),
        "An upgrade to a WebSocket, where `WEBSOCKETS` is off.",
        "Send the request over HTTP, with `stream: true`.",
        _never,
    ),
    Refusal(
        errors.InvalidStreamId(
            "A 'stream_id' has 1 to 256 letters, digits, '_', '-' or '.'. Leave it out for the lane without a name.",
            param="stream_id",
        ),
        "On a WebSocket: a `stream_id` that is no name of a lane.",
        "Choose another name, or leave it out.",
        _never,
    ),
    Refusal(
        errors.TooManyStreams(
            "This WebSocket has used as many 'stream_id's as it may (32). Use one again, or open another.",
            param="stream_id",
        ),
        "A WebSocket has used 32 names of lanes.",
        "Use one of them again, or open another WebSocket.",
        _never,
    ),
    Refusal(
        errors.SocketTooOld("This WebSocket has been open for 60 minutes, the limit. Connect anew to go on."),
        "A WebSocket has been open for `MAX_SOCKET_S`.",
        "Connect anew, and send the turns again that were refused.",
        _never,
    ),
    Refusal(
        errors.TooManySockets("You have 50 WebSockets open here, the limit. Close one first."),
        "The owner has `MAX_OWNER_SOCKETS` open at the process.",
        "Close one, or use lanes of one WebSocket.",
        _never,
    ),
    Refusal(
        errors.TooManyWaiting("64 turns wait on this WebSocket. Send the next one when one has ended."),
        "64 turns wait on the WebSocket.",
        "Send the next one when one has ended.",
        _never,
    ),
    Refusal(
        errors.RateLimited("You asked 60 times within a minute, the limit.", retry_after_s=12),
        "Too many requests or tokens, of this key's owner or at the model's server.",
        "Wait as long as `Retry-After` says.",
    ),
    Refusal(
        errors.QuotaExceeded(
            "You keep 1,024.2 MB of conversations and responses, the limit is 1,024.0 MB. Delete some of them."
        ),
        "The owner keeps as much as they may, has used the tokens of the month, or asks for more than a minute's.",
        "The message says which. Delete conversations, responses or files; ask for less, or the operator for more.",
        _only(*_KEEPS, "createChatCompletion", "createEmbeddings"),
    ),
    Refusal(
        errors.InsufficientQuota("This server's quota at the model's server is used up. Tell its operator."),
        "What the operator has paid for at the model's server is used up.",
        "Tell the operator. Waiting does not help.",
        _only(*_RUNS),
    ),
    Refusal(
        errors.InternalError(
            "The server made a mistake. Try again, and if it stays, name request "
            "req_0701982f4c2a7b3c1e5d8f90a1b2c3d4 to its operator."
        ),
        "A mistake of the server's.",
        "Try again; if it stays, tell the operator the request id.",
    ),
    Refusal(
        errors.UpstreamError("The model's server failed with HTTP 500. Try again in a moment."),
        "The model's server failed, broke off, or cannot be reached.",
        "Send the input again, with the same `Idempotency-Key` only if you want to be told of the same failure.",
        _asks_model,
    ),
    Refusal(
        errors.AnswerTooLarge("The model's answer is larger than 16,777,216 bytes. Ask for less at once."),
        "The model's answer is larger than `MAX_ANSWER_BYTES`, or has thousands of parts or of calls.",
        "Ask for less at once. What was written of it is on the response.",
        _only(*_TURN),
    ),
    Refusal(
        errors.ReplicaLost("The replicas that wrote this answer were lost. Send the input again."),
        "The replicas that wrote the answer were lost where it cannot be continued.",
        "Send the input again.",
        _only(*_TURN),
    ),
    Refusal(
        errors.Unavailable("The conversation store cannot be reached right now. Try again in a moment."),
        "Redis, or another part that is needed, is away for the moment.",
        "Wait as long as `Retry-After` says, and send it again.",
    ),
    Refusal(
        errors.StorageFull("The conversation store is nearly full. Try again later."),
        "Redis is nearly full: what is being written is finished first.",
        "Wait as long as `Retry-After` says. Tell the operator if it stays.",
        _only(*_KEEPS),
    ),
    Refusal(
        errors.Draining("This replica is leaving. Send the request again; another one will serve it."),
        "This replica is leaving.",
        "Send it again: another replica serves it.",
        _only(*_RUNS, "getResponse"),
    ),
    Refusal(
        errors.Overloaded("This replica runs 200 answers already. Try again in a moment."),
        "This replica has as many answers, bodies or uploads as it may.",
        "Send it again: another replica may have room.",
        lambda place: place.has_body or place.operation_id in _RUNS,
    ),
    Refusal(
        errors.UpstreamTimeout("The model said nothing for 60 s. Send the input again."),
        "The model's server took too long.",
        "Send the input again, or ask for less.",
        _asks_model,
    ),
    Refusal(
        errors.UpstreamUnavailable(
            "The model's server does not answer at the moment. Send the request again later.", retry_after_s=8
        ),
        "The model's server failed again and again: new answers are refused at once.",
        "Wait as long as `Retry-After` says.",
        _only(*_RUNS),
    ),
)


def list_refusals(status: int, place: Place) -> list[Refusal]:
    """How an operation that documents this status may refuse with it."""
    return [refusal for refusal in REFUSALS if refusal.shown.status == status and refusal.at(place)]

"""Everything the service refuses or fails at, as one tree.

    ServiceError                         code                       type                    status  a retry helps
      InvalidRequest                     invalid_request_error      invalid_request_error   400     no
        UnsupportedParameter             unsupported_parameter      invalid_request_error   400     no
        UnknownCall                      invalid_request_error      invalid_request_error   400     no
        InvalidEncryptedContent          invalid_encrypted_content  invalid_request_error   400     no
        InvalidPrompt                    invalid_prompt             invalid_request_error   400     no
          InvalidImage                   invalid_base64_image       invalid_request_error   400     no
          PromptTooLong                  context_length_exceeded    invalid_request_error   400     no
        HistoryTooDeep                   history_too_deep           invalid_request_error   400     no
        BodyTooLarge                     request_too_large          invalid_request_error   413     no
        HeadTooLarge                     headers_too_large          invalid_request_error   431     no
        BodyTooSlow                      request_timeout            invalid_request_error   408     yes
        NotFound                         …_not_found, unknown_url   invalid_request_error   404     no
        MethodNotAllowed                 method_not_allowed         invalid_request_error   405     no
        WebSocketsOff                    websockets_off             invalid_request_error   426     no
        InvalidStreamId                  invalid_stream_id          invalid_request_error   400     no
        TooManyStreams                   websocket_stream_limit_reached  invalid_request_error  400    no
        SocketTooOld                     websocket_connection_limit_reached  invalid_request_error  400  yes
      InvalidApiKey                      invalid_api_key            authentication_error    401     no
        ClientSecretExpired              client_secret_expired      authentication_error    401     no
      SignedOut                          signed_out                 authentication_error    401     no
      InsufficientScope                  insufficient_scope         permission_error        403     no
      OriginNotAllowed                   origin_not_allowed         permission_error        403     no
      ForgedRequest                      forged_request             permission_error        403     no
      ConversationLocked                 conversation_locked        conflict_error          409     no
      ResponseNotEnded                   response_not_ended         conflict_error          409     yes
      ResponseEnded                      response_ended             conflict_error          409     no
      PromptChanged                      prompt_changed             conflict_error          409     no
      KeyReused                          idempotency_key_reused     invalid_request_error   422     no
      StreamExpired                      stream_expired             invalid_request_error   410     no
      RateLimited                        rate_limit_exceeded        rate_limit_error        429     yes
        TooManySockets                   too_many_websockets        rate_limit_error        429     yes
        TooManyWaiting                   websocket_queue_full       rate_limit_error        429     yes
      QuotaExceeded                      quota_exceeded             rate_limit_error        429     no
      InsufficientQuota                  insufficient_quota         insufficient_quota      429     no
      InternalError                      internal_error             server_error            500     yes
      UpstreamError                      upstream_error             server_error            502     yes
        UpstreamUnavailable              upstream_unavailable       server_error            503     yes
        AnswerTooLarge                   answer_too_large           server_error            502     no
      UpstreamTimeout                    upstream_timeout           server_error            504     yes
      Unavailable                        dependency_unavailable     server_error            503     yes
        Draining                         draining                   server_error            503     yes
        StorageFull                      storage_full               server_error            503     yes
        Overloaded                       overloaded                 server_error            503     yes
        BrokenRecord                     dependency_unavailable     server_error            503     yes
      ReplicaLost                        replica_lost               server_error            502     yes
      FailedEarlier                      (those of the failure it repeats)
      MayNotBegin                        (never shown: a retry that is the first of its requests to arrive)
      StaleRun                           (never shown: a run that was taken over may write nothing)
      TailLost                           (never shown: a fail-over of Redis has lost the end of a log)
      BrokenSeal                         (shown as InvalidEncryptedContent, by whoever knows its place)

A class says its code, type, status and what a failed response is to carry; the instance says `param` and one
sentence that tells what to do. The same error renders as the OpenAI envelope over HTTP, as `response.failed` in a
stream, and as a frame of the type `error` on a WebSocket.
"""

from math import ceil
from typing import ClassVar, Protocol

# When nobody says how long a limit of requests lasts. Most are counted in windows of some seconds to a minute.
PAUSE_S = 5.0


class ServiceError(Exception):
    """Something a client is told; the message is for people, the code for programs."""

    code: str = "internal_error"
    type: ClassVar[str] = "server_error"
    status: ClassVar[int] = 500
    # The code inside a failed response: the specification's list has fewer words than ours.
    response_code: ClassVar[str] = "server_error"

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s


class InvalidRequest(ServiceError):
    """The request cannot be understood or is out of bounds."""

    code = "invalid_request_error"
    type = "invalid_request_error"
    status = 400
    response_code = "invalid_prompt"


class UnsupportedParameter(InvalidRequest):
    """A parameter that this server does not support."""

    code = "unsupported_parameter"


class UnknownCall(InvalidRequest):
    """The output of a function call that nobody made; the edge says where it stands."""

    def __init__(self, call_id: str, *, param: str | None = None) -> None:
        message = f"No tool call found for function call output with call_id '{call_id}'. Send the call before it."
        super().__init__(message, param=param)
        self.call_id = call_id


class InvalidEncryptedContent(InvalidRequest):
    """A sealed text that this server has not sealed, or not for this owner; or that was changed since."""

    code = "invalid_encrypted_content"

    def __init__(self, *, param: str) -> None:
        message = (
            f"Invalid '{param}': it was not sealed by this server for this key, or was changed since, so nobody here "
            "can read it. Leave the item out and send the messages that it stands for, or begin a new conversation."
        )
        super().__init__(message, param=param)


class InvalidPrompt(InvalidRequest):
    """The model refused what it was asked."""

    code = "invalid_prompt"


class InvalidImage(InvalidPrompt):
    """An image that nobody can read."""

    code = "invalid_base64_image"
    response_code = "invalid_base64_image"


class PromptTooLong(InvalidPrompt):
    """The input is longer than the model can take; a shorter one may pass.

    The code is not in the specification's list: OpenAI sends it, and agents shorten their history when they see it.
    """

    code = "context_length_exceeded"
    response_code = "context_length_exceeded"


class HistoryTooDeep(InvalidRequest):
    """A history that forks of forks have made of as many pieces as one may consist of."""

    code = "history_too_deep"

    def __init__(self, *, param: str) -> None:
        message = (
            "This history consists of as many pieces as one may: forks of forks, and large inputs. Begin a new "
            "conversation with the items that are still needed, or compact the history and go on from the compaction."
        )
        super().__init__(message, param=param)


class BodyTooLarge(InvalidRequest):
    """More than the API takes: of bytes, of values, of what is sealed."""

    code = "request_too_large"
    status = 413


class HeadTooLarge(InvalidRequest):
    """A request line and headers that are longer than any need to be."""

    code = "headers_too_large"
    status = 431


class BodyTooSlow(InvalidRequest):
    """A body that hardly comes."""

    code = "request_timeout"
    status = 408


class InvalidApiKey(ServiceError):
    """No key, or one that is not valid (any more)."""

    code = "invalid_api_key"
    type = "authentication_error"
    status = 401


class ClientSecretExpired(InvalidApiKey):
    """A client secret whose time is over: with the next one the same request works."""

    code = "client_secret_expired"

    def __init__(self) -> None:
        super().__init__("This client secret has expired. Get another one from whoever gave you this one.")


class SignedOut(ServiceError):
    """The page asks for something, and nobody is signed in any more."""

    code = "signed_out"
    type = "authentication_error"
    status = 401

    def __init__(self) -> None:
        super().__init__("You are signed out. Sign in again, then the page goes on.")


class OriginNotAllowed(ServiceError):
    """A page of another site, which the key's project does not allow."""

    code = "origin_not_allowed"
    type = "permission_error"
    status = 403

    def __init__(self, origin: str) -> None:
        super().__init__(f"Pages of '{origin}' may not ask here. Add it to the allowed origins of the key's project.")


class ForgedRequest(ServiceError):
    """A request of the page without the token that only the page knows."""

    code = "forged_request"
    type = "permission_error"
    status = 403

    def __init__(self) -> None:
        super().__init__("The header X-CSRFToken is missing or wrong. Load the page again, and let it ask.")


class InsufficientScope(ServiceError):
    """A key or a client secret that was not made for this."""

    code = "insufficient_scope"
    type = "permission_error"
    status = 403


class NotFound(InvalidRequest):
    """What was asked for is unknown, deleted, or another owner's: the answer is the same."""

    status = 404

    def __init__(self, message: str, *, code: str, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code


class MethodNotAllowed(InvalidRequest):
    """The path exists, but not for this method."""

    code = "method_not_allowed"
    status = 405


class WebSocketsOff(InvalidRequest):
    """A connection was to become a WebSocket, which this server does not speak."""

    code = "websockets_off"
    status = 426


class InvalidStreamId(InvalidRequest):
    """A name for a lane of a WebSocket that is none."""

    code = "invalid_stream_id"


class TooManyStreams(InvalidRequest):
    """A WebSocket has as many named lanes as one may have. The code is OpenAI's."""

    code = "websocket_stream_limit_reached"


class SocketTooOld(InvalidRequest):
    """A WebSocket has been open for as long as one may be. The code is OpenAI's: clients connect anew."""

    code = "websocket_connection_limit_reached"


class ConversationLocked(ServiceError):
    """Another response of this conversation is active; it is named."""

    code = "conversation_locked"
    type = "conflict_error"
    status = 409

    is_followed = False
    """Whether the response would give way if its readers left."""

    def __init__(self, message: str, *, active_response_id: str, param: str | None = "conversation") -> None:
        super().__init__(message, param=param, retry_after_s=1)
        self.active_response_id = active_response_id


class ResponseNotEnded(ServiceError):
    """A response that has not ended, or has failed, cannot be continued from."""

    code = "response_not_ended"
    type = "conflict_error"
    status = 409
    active_response_id: str | None = None
    """The response, when waiting for its end may help."""
    is_followed = False
    """Whether the response would give way if its readers left."""


class ResponseEnded(ServiceError):
    """What has ended cannot be cancelled."""

    code = "response_ended"
    type = "conflict_error"
    status = 409


class PromptChanged(ServiceError):
    """A new version was to follow on one that is not the latest."""

    code = "prompt_changed"
    type = "conflict_error"
    status = 409


class KeyReused(ServiceError):
    """The same Idempotency-Key with another body."""

    code = "idempotency_key_reused"
    type = "invalid_request_error"
    status = 422


class StreamExpired(ServiceError):
    """The log that a cursor points into is no longer kept."""

    code = "stream_expired"
    type = "invalid_request_error"
    status = 410


class RateLimited(ServiceError):
    """Too many requests: at the model's server, or of this caller.

    It says in words, too, when to come back: in a stream there is no header, and agents read the words.
    """

    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    status = 429
    response_code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        pause_s = PAUSE_S if retry_after_s is None else retry_after_s
        super().__init__(f"{message} Please try again in {max(1, ceil(pause_s))} s.", retry_after_s=pause_s)


class TooManySockets(RateLimited):
    """The owner has as many WebSockets open at this process as they may."""

    code = "too_many_websockets"


class TooManyWaiting(RateLimited):
    """As many turns wait on a WebSocket as may."""

    code = "websocket_queue_full"


class QuotaExceeded(ServiceError):
    """The owner keeps, or has used, as much as they may: no wait helps that a client would wait."""

    code = "quota_exceeded"
    type = "rate_limit_error"
    status = 429

    def __init__(self, message: str, *, retry_after_s: float = 60) -> None:
        super().__init__(message, retry_after_s=retry_after_s)


class InsufficientQuota(ServiceError):
    """What the operator has paid for at the model's server is used up: no wait helps.

    The code and the type are OpenAI's; agents end their retries when they see them.
    """

    code = "insufficient_quota"
    type = "insufficient_quota"
    status = 429
    response_code = "insufficient_quota"


class InternalError(ServiceError):
    """A mistake of ours, logged with the request's id."""


class UpstreamError(ServiceError):
    """The model's server failed, could not be reached, or broke off."""

    code = "upstream_error"
    status = 502

    def __init__(self, message: str, *, retry_after_s: float | None = None, is_final: bool = False) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.is_final = is_final  # asking again fails the same way


class UpstreamUnavailable(UpstreamError):
    """The model's server failed again and again, and is left alone for a moment."""

    code = "upstream_unavailable"
    status = 503


class AnswerTooLarge(UpstreamError):
    """The model's answer is beyond all bounds. Its server has not failed: the request may have asked for that."""

    code = "answer_too_large"

    def __init__(self, message: str) -> None:
        super().__init__(message, is_final=True)


class UpstreamTimeout(ServiceError):
    """The model's server took longer than it may."""

    code = "upstream_timeout"
    status = 504


class Unavailable(ServiceError):
    """Something this replica needs is away for the moment."""

    code = "dependency_unavailable"
    status = 503

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float = 1) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)


class Draining(Unavailable):
    """This replica is leaving; another one serves."""

    code = "draining"


class StorageFull(Unavailable):
    """Redis is nearly full; what is being written is finished first."""

    code = "storage_full"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after_s=30)


class Overloaded(Unavailable):
    """This replica runs as many answers, or holds as many bodies, as it may."""

    code = "overloaded"


class BrokenRecord(Unavailable):
    """Redis is there, but a script failed at what it found: others are served meanwhile."""


class ReplicaLost(ServiceError):
    """The replica that wrote the answer is gone."""

    code = "replica_lost"
    status = 502
    response_code = "replica_lost"


class FailedEarlier(ServiceError):
    """A retry belongs to a request that failed: its failure is told again."""

    def __init__(self, failure: "ToldFailure") -> None:
        super().__init__(failure.message, retry_after_s=failure.retry_after_s)
        self.code = failure.code
        self.type = failure.type  # type: ignore[misc]  # here it is the instance's: the class is that of all failures
        self.status = failure.status  # type: ignore[misc]  # likewise


class ToldFailure(Protocol):
    """What `FailedEarlier` repeats."""

    @property
    def code(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def message(self) -> str: ...
    @property
    def retry_after_s(self) -> float | None: ...


class MayNotBegin(Exception):
    """A response would have to begin, and may not; never shown: whoever asked knows why."""


class StaleRun(Exception):
    """The run was taken over or ended elsewhere; it may write nothing more."""


class TailLost(Exception):
    """The log ends at `last_number`, before what its run has been told is written: a fail-over has lost the rest."""

    def __init__(self, last_number: int) -> None:
        super().__init__(last_number)
        self.last_number = last_number


class BrokenSeal(Exception):
    """A sealed text does not open: another owner's, of another kind, changed, or no seal."""


def unknown_url(method: str | None, path: str) -> NotFound:
    """The refusal of a path that is not there."""
    return NotFound(f"Invalid URL ({method} {path}). GET /v1/openapi.json lists what there is.", code="unknown_url")


def unknown_response(response_id: str) -> NotFound:
    """The refusal of a response's id."""
    return NotFound(f"Response with id '{response_id}' not found.", code="response_not_found", param="response_id")


def unknown_previous_response(response_id: str) -> NotFound:
    """The refusal of an id to continue from."""
    message = f"Previous response with id '{response_id}' not found."
    return NotFound(message, code="previous_response_not_found", param="previous_response_id")


def unknown_conversation(conversation_id: str, *, param: str = "conversation_id") -> NotFound:
    """The refusal of a conversation's id."""
    message = f"Conversation with id '{conversation_id}' not found."
    return NotFound(message, code="conversation_not_found", param=param)


def unknown_item(item_id: str, *, param: str) -> NotFound:
    """The refusal of an item's id."""
    return NotFound(f"Item with id '{item_id}' not found.", code="item_not_found", param=param)


def unknown_vector_store(store_id: str, *, param: str = "vector_store_id") -> NotFound:
    """The refusal of a vector store's id."""
    message = f"Vector store with id '{store_id}' not found."
    return NotFound(message, code="vector_store_not_found", param=param)


def expired_vector_store(store_id: str, *, param: str = "vector_store_id") -> NotFound:
    """The refusal to use a vector store whose time is over."""
    message = f"Vector store '{store_id}' has expired. Make a new one with its files; this one can only be deleted."
    return NotFound(message, code="vector_store_expired", param=param)


def unknown_file(file_id: str, *, param: str = "file_id") -> NotFound:
    """The refusal of a file's id."""
    return NotFound(f"File with id '{file_id}' not found.", code="file_not_found", param=param)


def unknown_file_batch(batch_id: str, *, param: str = "batch_id") -> NotFound:
    """The refusal of the id of a vector store's file batch."""
    return NotFound(f"File batch with id '{batch_id}' not found.", code="file_batch_not_found", param=param)


def unknown_prompt(prompt_id: str, number: int | None = None, *, param: str = "prompt_id") -> NotFound:
    """The refusal of a template's id, or of one of its versions."""
    named = f"Prompt with id '{prompt_id}'" if number is None else f"Version {number} of prompt '{prompt_id}'"
    return NotFound(f"{named} not found.", code="prompt_not_found", param=param)


def named_too_large() -> BodyTooLarge:
    """The refusal of items that are named by their ids."""
    return BodyTooLarge(
        "The items that are named by their ids hold more than 10 MB. Name fewer of them.", param="input"
    )


def response_not_ended(response_id: str, status: str, *, is_followed: bool = False) -> ResponseNotEnded:
    """The refusal to continue from a response that has not ended, or has failed."""
    if status == "failed":
        message = f"Previous response '{response_id}' failed. Continue from the response before it."
        return ResponseNotEnded(message, param="previous_response_id")
    message = f"Previous response '{response_id}' is {status}. Continue from it when it has ended."
    error = ResponseNotEnded(message, param="previous_response_id", retry_after_s=1)
    error.active_response_id, error.is_followed = response_id, is_followed
    return error


def key_reused() -> KeyReused:
    """The refusal of an Idempotency-Key that another request has claimed."""
    message = "This Idempotency-Key was used for another request. Choose a new key for a new request."
    return KeyReused(message, param="Idempotency-Key")


def conversation_locked(
    conversation_id: str, active_response_id: str, *, is_followed: bool = False
) -> ConversationLocked:
    """The refusal of a second turn; it names the first."""
    message = (
        f"Conversation '{conversation_id}' is busy with response '{active_response_id}'. "
        "Wait until it has ended, then send again."
    )
    error = ConversationLocked(message, active_response_id=active_response_id)
    error.is_followed = is_followed
    return error

"""The values the service speaks of: items, responses, conversations, usage.

They are frozen msgspec structs with the specification's names, so that a value is also what goes on the wire
(Open Responses 2026-04-24, schema `ResponseResource` and its kin). A field that the wire may leave out is `UNSET`.
"""

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

Metadata: TypeAlias = dict[str, str]
Role: TypeAlias = Literal["user", "assistant", "system", "developer"]
Status: TypeAlias = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]

ENDED: frozenset[str] = frozenset({"completed", "incomplete", "failed", "cancelled"})
# What a next turn may continue from: these moved their timeline (DESIGN, promise 3).
CONTINUABLE: frozenset[str] = ENDED - {"failed"}


class InputText(Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text a person or a program gave."""

    text: str


class OutputText(Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text the model wrote; both lists are always there."""

    text: str
    annotations: list[Any] = []
    logprobs: list[Any] = []


class Refusal(Struct, frozen=True, tag_field="type", tag="refusal"):
    """The model's own words for not answering."""

    refusal: str


Part: TypeAlias = InputText | OutputText | Refusal


class Message(Struct, frozen=True, tag_field="type", tag="message"):
    """One message of a history, immutable once its status is not `in_progress`."""

    id: str
    status: ItemStatus
    role: Role
    content: list[Part]


Item: TypeAlias = Message


class InputTokensDetails(Struct, frozen=True):
    """Of the input tokens: how many the model had cached."""

    cached_tokens: int = 0


class OutputTokensDetails(Struct, frozen=True):
    """Of the output tokens: how many were spent on reasoning."""

    reasoning_tokens: int = 0


class Usage(Struct, frozen=True):
    """Tokens, as the model reported them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()


class ResponseError(Struct, frozen=True):
    """Why a response failed: a stable code and one sentence."""

    code: str
    message: str


class IncompleteDetails(Struct, frozen=True):
    """Why an answer ends before its end."""

    reason: str


class ConversationRef(Struct, frozen=True):
    """The conversation a response belongs to."""

    id: str


class TextFormat(Struct, frozen=True):
    """Plain text, the only format so far."""

    type: str = "text"


class TextConfig(Struct, frozen=True):
    """How the text of the answer is to be formed."""

    format: TextFormat = TextFormat()


class ModelInput(Struct, frozen=True, kw_only=True):
    """What the model was given: items and their tokens (estimates), and what was left out for want of room."""

    history_items: int
    history_tokens: int
    input_items: int
    input_tokens: int
    instructions_tokens: int
    dropped_items: int
    history_budget_tokens: int


class Response(Struct, frozen=True, kw_only=True):
    """One answer to one input; every key is present, always, also in `response.created` (API.md)."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status
    incomplete_details: IncompleteDetails | None = None
    model: str
    previous_response_id: str | None = None
    instructions: str | None = None
    output: list[Item] = []
    error: ResponseError | None = None
    tools: list[Any] = []
    tool_choice: str = "auto"
    truncation: str = "disabled"
    parallel_tool_calls: bool = True
    text: TextConfig = TextConfig()
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int = 0
    temperature: float = 1.0
    reasoning: None = None
    usage: Usage | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    store: bool = True
    background: bool = False
    service_tier: str = "default"
    metadata: Metadata = {}
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    conversation: ConversationRef | UnsetType = UNSET
    model_input: ModelInput | UnsetType = field(default=UNSET, name="eps:model_input")


class Conversation(Struct, frozen=True, kw_only=True):
    """A named, owned, ordered history; what the API shows of it."""

    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: Metadata = {}
    title: str | None = None
    active_response_id: str | None = None
    forked_from: str | None = None


class Model(Struct, frozen=True):
    """A model that may be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "unknown"


class ModelRequest(Struct, frozen=True, kw_only=True):
    """What a turn asks of the model, beside its messages; None means the model's own default."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_output_tokens: int | None = None


class ModelMessage(Struct, frozen=True):
    """One message as the model is given it, whichever protocol carries it."""

    role: Role
    text: str

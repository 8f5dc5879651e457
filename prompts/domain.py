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


Phase: TypeAlias = Literal["commentary", "final_answer"]
ImageDetail: TypeAlias = Literal["low", "high", "auto"]


class InputText(Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text a person or a program gave."""

    text: str


class InputImage(Struct, frozen=True, tag_field="type", tag="input_image"):
    """An image by its address, or as a `data:` URI; it goes to the model as it is, nothing is fetched here."""

    image_url: str
    detail: ImageDetail = "auto"


class InputFile(Struct, frozen=True, tag_field="type", tag="input_file", omit_defaults=True):
    """A file by its address, or as base64; it goes to the model as it is, nothing is fetched here."""

    filename: str | UnsetType = UNSET
    file_data: str | UnsetType = UNSET
    file_url: str | UnsetType = UNSET


class TopLogprob(Struct, frozen=True):
    """One of the likeliest tokens at a place."""

    token: str
    logprob: float
    bytes: list[int] = []


class Logprob(Struct, frozen=True):
    """A token of the answer, how likely it was (natural logarithm), and what else was likely."""

    token: str
    logprob: float
    bytes: list[int] = []
    top_logprobs: list[TopLogprob] = []


class OutputText(Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text the model wrote; both lists are always there."""

    text: str
    annotations: list[Any] = []
    logprobs: list[Logprob] = []


class Refusal(Struct, frozen=True, tag_field="type", tag="refusal"):
    """The model's own words for not answering."""

    refusal: str


class ReasoningText(Struct, frozen=True, tag_field="type", tag="reasoning_text"):
    """What the model thought, in its own words."""

    text: str


class SummaryText(Struct, frozen=True, tag_field="type", tag="summary_text"):
    """What the model thought, in short."""

    text: str


GivenPart: TypeAlias = InputText | InputImage | InputFile
Part: TypeAlias = GivenPart | OutputText | Refusal


class Message(Struct, frozen=True, tag_field="type", tag="message"):
    """One message of a history, immutable once its status is not `in_progress`."""

    id: str
    status: ItemStatus
    role: Role
    content: list[Part]
    phase: Phase | UnsetType = UNSET


class FunctionCall(Struct, frozen=True, tag_field="type", tag="function_call"):
    """The model wants a function called; `arguments` are JSON, as the model wrote them."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


class FunctionCallOutput(Struct, frozen=True, tag_field="type", tag="function_call_output"):
    """What a call gave."""

    id: str
    status: ItemStatus
    call_id: str
    output: str | list[GivenPart]


class Reasoning(Struct, frozen=True, tag_field="type", tag="reasoning"):
    """What the model thought before it answered; `encrypted_content` only when it was asked for."""

    id: str
    status: ItemStatus
    summary: list[SummaryText]
    content: list[ReasoningText] | UnsetType = UNSET
    encrypted_content: str | UnsetType | None = UNSET


class Compaction(Struct, frozen=True, tag_field="type", tag="compaction"):
    """A history in short, sealed with the server's key."""

    id: str
    encrypted_content: str


Item: TypeAlias = Message | FunctionCall | FunctionCallOutput | Reasoning | Compaction


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


def add_usage(usage: Usage | None, other: Usage | None) -> Usage | None:
    """Both together; None when neither was reported."""
    if usage is None or other is None:
        return usage or other
    cached = usage.input_tokens_details.cached_tokens + other.input_tokens_details.cached_tokens
    reasoning = usage.output_tokens_details.reasoning_tokens + other.output_tokens_details.reasoning_tokens
    return Usage(
        input_tokens=usage.input_tokens + other.input_tokens,
        output_tokens=usage.output_tokens + other.output_tokens,
        total_tokens=usage.total_tokens + other.total_tokens,
        input_tokens_details=InputTokensDetails(cached),
        output_tokens_details=OutputTokensDetails(reasoning),
    )


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


class PlainText(Struct, frozen=True, tag_field="type", tag="text"):
    """Text as it comes."""


class JsonObject(Struct, frozen=True, tag_field="type", tag="json_object"):
    """Any JSON object."""


class JsonSchema(Struct, frozen=True, tag_field="type", tag="json_schema", kw_only=True):
    """A JSON document that this schema describes."""

    name: str
    description: str | None = None
    schema: dict[str, Any] | None
    strict: bool = False


TextFormat: TypeAlias = PlainText | JsonObject | JsonSchema
Verbosity: TypeAlias = Literal["low", "medium", "high"]


class TextConfig(Struct, frozen=True):
    """How the text of the answer is to be formed."""

    format: TextFormat = PlainText()
    verbosity: Verbosity | UnsetType = UNSET


class FunctionTool(Struct, frozen=True, tag_field="type", tag="function", kw_only=True):
    """A function that the client can call for the model; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionChoice(Struct, frozen=True, tag_field="type", tag="function"):
    """This function and no other."""

    name: str


ToolMode: TypeAlias = Literal["none", "auto", "required"]


class AllowedTools(Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """Only these of the tools."""

    tools: list[FunctionChoice]
    mode: ToolMode = "auto"


ToolChoice: TypeAlias = ToolMode | FunctionChoice | AllowedTools
ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
ReasoningSummary: TypeAlias = Literal["auto", "concise", "detailed"]


class ReasoningConfig(Struct, frozen=True):
    """How much the model is to think, and whether it is to say so in short."""

    effort: ReasoningEffort | None = None
    summary: ReasoningSummary | None = None


class ModelInput(Struct, frozen=True, kw_only=True):
    """What the model was given: items and their tokens (estimates), and what was left out for want of room."""

    history_items: int
    history_tokens: int
    input_items: int
    input_tokens: int
    instructions_tokens: int
    tools_tokens: int = 0
    dropped_items: int
    history_budget_tokens: int
    calibration: float = 1.0
    """What the model reports, as a multiple of what is estimated; learned from earlier answers."""


Truncation: TypeAlias = Literal["auto", "disabled"]
ServiceTier: TypeAlias = Literal["auto", "default", "flex", "priority"]


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
    tools: list[FunctionTool] = []
    tool_choice: ToolChoice = "auto"
    truncation: Truncation = "disabled"
    parallel_tool_calls: bool = True
    text: TextConfig = TextConfig()
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int = 0
    temperature: float = 1.0
    reasoning: ReasoningConfig | None = None
    usage: Usage | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    store: bool = True
    background: bool = False
    service_tier: ServiceTier = "default"
    metadata: Metadata = {}
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    conversation: ConversationRef | UnsetType = UNSET
    model_input: ModelInput | UnsetType = field(default=UNSET, name="eps:model_input")


Score: TypeAlias = Literal[-1, 0, 1]


class Feedback(Struct, frozen=True):
    """What a person thinks of a response: a thumb down, neither, or up; and why, in their words."""

    score: Score
    comment: str | None
    created_at: int


class CompactedHistory(Struct, frozen=True, kw_only=True):
    """A history made short: what the user said, and a compaction for all the rest."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: int
    output: list[Item]
    usage: Usage


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
    max_tool_calls: int | None = None
    tools: list[FunctionTool] = []
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    text: TextConfig = TextConfig()
    reasoning: ReasoningConfig = ReasoningConfig()
    wants_encrypted_reasoning: bool = False
    wants_logprobs: bool = False
    top_logprobs: int | None = None
    truncation: Truncation = "disabled"
    service_tier: ServiceTier | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None
    compact_threshold: int | None = None
    """From how many tokens (estimates) the history is compacted before the model is asked."""

    @property
    def offered(self) -> list[FunctionTool]:
        """The tools the model may call: a hard limit, whatever it is told of the others."""
        match self.tool_choice:
            case "none" | AllowedTools(mode="none"):
                return []
            case AllowedTools(allowed):
                names = {choice.name for choice in allowed}
                return [tool for tool in self.tools if tool.name in names]
            case FunctionChoice(name):
                return [tool for tool in self.tools if tool.name == name]
        return self.tools

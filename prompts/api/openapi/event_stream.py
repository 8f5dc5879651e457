"""The event stream as the OpenAPI document shows it: the schema is that of one event, as clients' libraries read it."""

from dmr.openapi.objects import MediaType, OpenAPIType, Schema

_TYPES = (
    *("created", "queued", "in_progress", "completed", "incomplete", "failed"),
    *("output_item.added", "output_item.done", "content_part.added", "content_part.done"),
    *("output_text.delta", "output_text.done", "refusal.delta", "refusal.done"),
    *("function_call_arguments.delta", "function_call_arguments.done", "reasoning.delta", "reasoning.done"),
    *("custom_tool_call_input.delta", "custom_tool_call_input.done"),
    *("reasoning_summary_part.added", "reasoning_summary_part.done"),
    *("reasoning_summary_text.delta", "reasoning_summary_text.done"),
)
_EVENT = Schema(
    type=OpenAPIType.OBJECT,
    title="StreamEvent",
    properties={
        "event": Schema(
            type=OpenAPIType.STRING, enum=[*(f"response.{name}" for name in _TYPES), "keepalive", "message"]
        ),
        "data": Schema(
            type=OpenAPIType.STRING,
            content_media_type="application/json",
            description="`{type, sequence_number, …}`, numbered from 0 without gaps; at the very end `[DONE]`.",
        ),
    },
    description=(
        "`message` is how a frame without a type is read: the last one, `[DONE]`. "
        "`keepalive` has no number: it says that a silent stream is alive."
    ),
    required=["data"],
)
_EXAMPLE = (
    "event: response.output_text.delta\n"
    'data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_0701…","output_index":0,'
    '"content_index":0,"delta":"Hello","logprobs":[]}\n\n'
    "data: [DONE]\n\n"
)

_CHUNK = Schema(
    type=OpenAPIType.OBJECT,
    title="ChunkEvent",
    properties={"data": Schema(type=OpenAPIType.STRING, description="A chunk, as JSON; at the very end `[DONE]`.")},
    required=["data"],
)
_CHUNK_EXAMPLE = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n'
    "data: [DONE]\n\n"
)

CHUNK_STREAM = {"text/event-stream": MediaType(schema=_CHUNK, example=_CHUNK_EXAMPLE)}
"""Of Chat Completions, as model servers stream them."""
EVENT_STREAM = {"text/event-stream": MediaType(schema=_EVENT, example=_EXAMPLE)}

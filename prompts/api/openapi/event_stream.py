"""The event stream as the OpenAPI document shows it: the schema is that of one event, as clients' libraries read it."""

from dmr.openapi.objects import MediaType, OpenAPIType, Schema

from prompts.api.openapi.events import EVENT_TYPES

END = "[DONE]"
_EVENT = Schema(
    type=OpenAPIType.OBJECT,
    title="Frame",
    properties={
        "event": Schema(type=OpenAPIType.STRING, enum=[*EVENT_TYPES, "message"]),
        "data": Schema(
            type=OpenAPIType.STRING,
            description="`{type, sequence_number, …}`, numbered from 0 without gaps; at the very end `[DONE]`.",
        ),
    },
    description=(
        "`message` is how a frame without a type is read: the last one, `[DONE]`. "
        "`keepalive` has no number: it says that a silent stream is alive."
    ),
    required=["data"],
    # The last frame is no JSON.
    schema_if=Schema(properties={"data": Schema(const=END)}),
    schema_else=Schema(
        properties={
            "data": Schema(
                content_media_type="application/json", content_schema=Schema(ref="#/components/schemas/StreamEvent")
            )
        }
    ),
)
_CHUNK = Schema(
    type=OpenAPIType.OBJECT,
    title="ChunkEvent",
    properties={"data": Schema(type=OpenAPIType.STRING, description="A chunk, as JSON; at the very end `[DONE]`.")},
    required=["data"],
)
CHUNK_STREAM = {"text/event-stream": MediaType(schema=_CHUNK)}
"""Of Chat Completions, as model servers stream them."""
EVENT_STREAM = {"text/event-stream": MediaType(schema=_EVENT)}

"""The OpenAPI document's title, description and tags."""

from dmr.openapi import OpenAPIConfig
from dmr.openapi.objects import Tag

DESCRIPTION = """\
OpenAI's Responses and Conversations API on your own ground, as the open specification *Open Responses* (2026-04-24)
writes it down. The official `openai` SDK works by changing its base URL. Send `Authorization: Bearer <key>`.

Every answer carries `x-request-id`. Every refusal is `{"error": {message, type, param, code}}`: `code` is stable, and
`message` says what to do. What belongs to another key's owner does not exist: 404. Fields that begin with `eps:` are
extensions of ours.
"""
# In the order in which a client uses them.
TAGS = {
    "Responses": "Ask the model; read, follow, cancel and delete its answers.",
    "Conversations": "A history that is kept: turns on it remember what came before.",
    "Files": "Documents that are kept for later: to be searched, or read by the model.",
    "Vector stores": "Collections of files that are indexed, and searched by what they say.",
    "Prompts": "Templates in versions, with variables: a turn names one, and need not say the rest.",
    "Relay": "The model's server in its own words, for clients that speak Chat Completions; nothing is kept.",
    "Client secrets": "What a browser holds in place of a key.",
    "Models": "What may be asked for.",
}


def openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Enhanced Prompt Service",
        version="0.1.0",
        description=DESCRIPTION,
        tags=[Tag(name=name, description=description) for name, description in TAGS.items()],
    )

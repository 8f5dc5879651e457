"""What the OpenAPI document says about the service as a whole."""

from dmr.openapi import OpenAPIConfig
from dmr.openapi.objects import Tag

DESCRIPTION = """\
OpenAI's Responses and Conversations API on your own ground, as the open specification *Open Responses* (2026-04-24)
writes it down. The official `openai` SDK works by changing its base URL. Send `Authorization: Bearer <key>`.
"""


def openapi_config() -> OpenAPIConfig:
    """Title, version and description of `/v1/openapi.json`."""
    return OpenAPIConfig(
        title="Enhanced Prompt Service",
        version="0.1.0",
        description=DESCRIPTION,
        tags=[Tag(name=name) for name in ("Responses", "Conversations", "Models")],  # in the order of their use
    )

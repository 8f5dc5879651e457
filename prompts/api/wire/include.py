"""`include`: what an answer shows only to those who ask for it."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from prompts.api.wire.marks import items
from prompts.api.wire.unknown import Unknown

ENCRYPTED_REASONING = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
SEARCH_RESULTS = "file_search_call.results"
# The others name what is always shown, or what this server has none of.
INCLUDABLE = (
    ENCRYPTED_REASONING,
    LOGPROBS,
    "message.input_image.image_url",
    SEARCH_RESULTS,
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
)

Include = Annotated[
    list[str],
    Meta(
        max_length=50,
        description="What the answer shows only to those who ask for it.",
        extra_json_schema=items({"enum": list(INCLUDABLE)}),
    ),
]


def check_include(include: Sequence[str] | None, unknown: Unknown) -> None:
    """Name what is not known. Raises InvalidRequest where the unknown is refused."""
    for index, name in enumerate(include or ()):
        if name not in INCLUDABLE:
            unknown.leave_out(f"include[{index}]", "include")

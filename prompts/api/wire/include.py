"""`include`: what an answer shows only to those who ask for it."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from prompts.api.wire.marks import items
from prompts.errors import InvalidRequest

ENCRYPTED_REASONING = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
# The others name what is always shown, or what this server never has.
INCLUDABLE = (ENCRYPTED_REASONING, LOGPROBS, "message.input_image.image_url", "file_search_call.results")

Include = Annotated[
    list[str],
    Meta(
        max_length=20,
        description="What the answer shows only to those who ask for it.",
        extra_json_schema=items({"enum": list(INCLUDABLE)}),
    ),
]


def check_include(include: Sequence[str] | None, *, param: str = "include") -> None:
    """Raises InvalidRequest for a name that is not known."""
    for index, name in enumerate(include or ()):
        if name not in INCLUDABLE:
            known = ", ".join(f"'{each}'" for each in INCLUDABLE)
            shown = name[:80].encode("ascii", "backslashreplace").decode()
            place = f"{param}[{index}]"
            raise InvalidRequest(f"Invalid '{place}': '{shown}' cannot be included. Known are {known}.", param=place)

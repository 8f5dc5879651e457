"""Ids as paths, queries and bodies name them. The patterns are for the document: the service says what is wrong."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from prompts.domain import ids
from prompts.domain.item_kinds import ITEM_ID_PREFIXES

REFERENCE = "item_reference"
"""The type of an input item that is only the id of a stored one."""
COMPACTION_TRIGGER = "compaction_trigger"
"""The type of an input item that asks for a compaction in place of an answer."""


def _meta(description: str, *kinds: str) -> Meta:
    starts = [ids.start_of(kind) for kind in kinds]
    example = f"{starts[0]}0701982f4c2a7b3c1e5d8f90a1b2c3d4"
    start = starts[0] if len(starts) == 1 else f"({'|'.join(starts)})"
    return Meta(description=description, examples=[example], extra_json_schema={"pattern": f"^{start}[0-9a-f]+$"})


ConversationId: TypeAlias = Annotated[str, _meta("A conversation's id.", ids.CONVERSATION)]
ResponseId: TypeAlias = Annotated[str, _meta("A response's id.", ids.RESPONSE)]
FileId: TypeAlias = Annotated[str, _meta("A file's id.", ids.FILE)]
VectorStoreId: TypeAlias = Annotated[str, _meta("A vector store's id.", ids.VECTOR_STORE)]
FileBatchId: TypeAlias = Annotated[str, _meta("A file batch's id.", ids.FILE_BATCH)]
PromptId: TypeAlias = Annotated[str, _meta("A prompt's id.", ids.PROMPT)]
ItemId: TypeAlias = Annotated[str, _meta("An item's id.", *ITEM_ID_PREFIXES)]

"""What lives in SQL: projects, API keys, prompts and the archive. Never read on the way of a turn.

Django looks for models here.
"""

from prompts.models.archive import (
    ArchivedConversation,
    ArchivedItem,
    ArchivedResponse,
    ArchivedTimeline,
    ArchivePartition,
    ErasureReceipt,
    StaffAction,
)
from prompts.models.histories import ArchivedChain, ArchivedHistory
from prompts.models.projects import ApiKey, Project
from prompts.models.prompts import Prompt, PromptVersion

__all__ = [
    "ApiKey",
    "ArchivePartition",
    "ArchivedChain",
    "ArchivedConversation",
    "ArchivedHistory",
    "ArchivedItem",
    "ArchivedResponse",
    "ArchivedTimeline",
    "ErasureReceipt",
    "Project",
    "Prompt",
    "PromptVersion",
    "StaffAction",
]

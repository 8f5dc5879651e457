"""What lives in SQL: projects, API keys and prompts. Never read on the way of a turn. Django looks for models here."""

from prompts.models.projects import ApiKey, Project
from prompts.models.prompts import Prompt, PromptVersion

__all__ = ["ApiKey", "Project", "Prompt", "PromptVersion"]

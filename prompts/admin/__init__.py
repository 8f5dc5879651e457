"""How staff see what is in SQL. Each module registers what it shows."""

from prompts.admin import api_keys, projects, prompts

__all__ = ("api_keys", "projects", "prompts")

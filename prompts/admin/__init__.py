"""How staff see what is in SQL. Each module registers what it shows."""

from prompts.admin import api_keys, conversations, projects, prompts, receipts, staff_actions

__all__ = ("api_keys", "conversations", "projects", "prompts", "receipts", "staff_actions")

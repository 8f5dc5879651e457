"""The Django app of the service."""

from django.apps import AppConfig
from typing_extensions import override


class PromptsConfig(AppConfig):
    """Conversations, responses, keys."""

    name = "prompts"

    @override
    def ready(self) -> None:
        """Import what listens: to changes of users, and to migrations."""
        from prompts import staff_groups  # noqa: F401 -- imported to be connected
        from prompts.page import user_secrets  # noqa: F401 -- likewise

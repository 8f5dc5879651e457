"""The Django app of the service."""

from django.apps import AppConfig


class PromptsConfig(AppConfig):
    """Conversations, responses, keys."""

    name = "prompts"

"""The project itself as a Django app: system checks, commands, templates."""

from django.apps import AppConfig
from typing_extensions import override


class ProjectConfig(AppConfig):
    """Registers the checks of the settings."""

    name = "config"
    label = "project"

    @override
    def ready(self) -> None:
        """Importing registers."""
        from config import checks  # noqa: F401

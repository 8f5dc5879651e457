"""The project itself as a Django app: system checks, commands, templates."""

from django.apps import AppConfig
from typing_extensions import override


class ProjectConfig(AppConfig):
    """Registers the system checks of the settings."""

    name = "config"
    label = "project"

    @override
    def ready(self) -> None:
        """Import the checks, which registers them."""
        from config import checks  # noqa: F401 -- imported to be registered

"""The Django app of the probes."""

from django.apps import AppConfig


class HealthConfig(AppConfig):
    """The app has no models and no settings."""

    name = "health"

"""The Django app of the probes."""

from django.apps import AppConfig


class HealthConfig(AppConfig):
    """Probes: no models, no settings of its own."""

    name = "health"

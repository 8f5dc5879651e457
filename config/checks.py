"""System checks of the settings: `manage.py check` says what is wrong and what to do, under stable ids."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks

KNOWN_CHECKS = {"redis", "storage", "weaviate"}


@checks.register()
def check_settings(**_: Any) -> list[checks.CheckMessage]:
    return list(_check_settings())


def _check_settings() -> Iterator[checks.CheckMessage]:
    if not settings.SECRET_KEY:
        yield checks.Error("SECRET_KEY is not set.", hint="Set SECRET_KEY or SECRET_KEY_FILE.", id="eps.E001")
    if settings.REDIS_URL == settings.CACHE_URL:
        hint = "Give CACHE_URL another database: a cache may be flushed, conversations may not."
        yield checks.Warning("REDIS_URL and CACHE_URL are the same.", hint=hint, id="eps.W001")
    if unknown := set(settings.READYZ_REQUIRED) - KNOWN_CHECKS:
        hint = f"Known checks: {', '.join(sorted(KNOWN_CHECKS))}."
        yield checks.Error(
            f"READYZ_REQUIRED names unknown checks: {', '.join(sorted(unknown))}.", hint=hint, id="eps.E002"
        )
    if "weaviate" in settings.READYZ_REQUIRED and not settings.WEAVIATE_URL:
        hint = "Set WEAVIATE_URL, or take weaviate out of READYZ_REQUIRED; as it is, /readyz never succeeds."
        yield checks.Warning("READYZ_REQUIRED names weaviate, which is not configured.", hint=hint, id="eps.W002")
    if settings.MODEL_SILENCE_S > settings.MAX_RUN_S:
        hint = "MAX_RUN_S ends an answer before MODEL_SILENCE_S can."
        yield checks.Warning("MODEL_SILENCE_S is longer than MAX_RUN_S.", hint=hint, id="eps.W003")

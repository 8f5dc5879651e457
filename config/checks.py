"""Settings sanity as system checks: `manage.py check` says what is wrong and what to do, under stable ids.

Nothing here touches the network; what only a running server can tell is in config/live_checks.py.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core import checks

KNOWN_CHECKS = {"redis", "storage", "weaviate"}
# 32 characters of a random text are beyond guessing; Django's own generated keys have 50.
MIN_SECRET_CHARACTERS = 32
LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", "::1", ""}
# After the drain a leaving process closes what is open (docs/operations.md).
CLOSING_S = 15


@checks.register()
def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """What is wrong with this process's settings."""
    return judge(django_settings)


def judge(settings: Any) -> list[checks.CheckMessage]:
    """What is wrong with these settings: an object that has them as attributes."""
    judges = (_check_secrets, _check_servers, _check_readiness, _check_times)
    return [complaint for each in judges for complaint in each(settings)]


def _check_secrets(settings: Any) -> Iterator[checks.CheckMessage]:
    if not settings.SECRET_KEY:
        yield checks.Error("SECRET_KEY is not set.", hint="Set SECRET_KEY or SECRET_KEY_FILE.", id="eps.E001")
    elif len(settings.SECRET_KEY) < MIN_SECRET_CHARACTERS or settings.SECRET_KEY.startswith("django-insecure-"):
        hint = f"Use at least {MIN_SECRET_CHARACTERS} random characters; sessions and seals stand on them."
        yield checks.Error("SECRET_KEY is weak.", hint=hint, id="eps.E003")
    if any(len(key) < MIN_SECRET_CHARACTERS for key in settings.SECRET_KEY_FALLBACKS):
        hint = "Who guesses an earlier key can sign with it, too: drop it as soon as nobody needs what it has signed."
        yield checks.Warning("One of SECRET_KEY_FALLBACKS is weak.", hint=hint, id="eps.W007")
    if settings.HTTPS and not settings.TRUSTED_PROXY:
        hint = "Set TRUSTED_PROXY=true behind a proxy that ends TLS, or the pages redirect to https for ever."
        yield checks.Warning("HTTPS is on, and no proxy is declared.", hint=hint, id="eps.W008")
    if settings.DEBUG and (hosts := set(settings.ALLOWED_HOSTS) - LOCAL_HOSTS):
        hint = "DEBUG shows settings and code to every visitor: set DEBUG=false."
        yield checks.Error(f"DEBUG is on for {', '.join(sorted(hosts))}.", hint=hint, id="eps.E004")


def _check_servers(settings: Any) -> Iterator[checks.CheckMessage]:
    if settings.REDIS_URL == settings.CACHE_URL:
        hint = "Give CACHE_URL another database: a cache may be flushed, conversations may not."
        yield checks.Warning("REDIS_URL and CACHE_URL are the same.", hint=hint, id="eps.W001")
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3") and not _is_local(settings.REDIS_URL):
        hint = "SQLite is a file of one machine: set DATABASE_URL to a PostgreSQL that every replica reaches."
        yield checks.Warning("Redis is shared, and the database is SQLite.", hint=hint, id="eps.W004")
    if not settings.FILES_S3_BUCKET and not _is_local(settings.REDIS_URL):
        hint = (
            "DATA_DIR/files is a folder of one replica: others cannot read what is uploaded there. Set FILES_S3_BUCKET "
            "(and FILES_S3_ENDPOINT_URL for another server than AWS), or mount one volume into all replicas at "
            "DATA_DIR/files and silence eps.W009."
        )
        yield checks.Warning("Redis is shared, and uploaded files are in a folder.", hint=hint, id="eps.W009")
    if database.get("CONN_MAX_AGE") != 0:
        hint = "Set it to 0: under ASGI each thread would keep a connection of its own open."
        yield checks.Error("The database has a CONN_MAX_AGE.", hint=hint, id="eps.E005")


def _check_readiness(settings: Any) -> Iterator[checks.CheckMessage]:
    if unknown := set(settings.READYZ_REQUIRED) - KNOWN_CHECKS:
        hint = f"Known checks: {', '.join(sorted(KNOWN_CHECKS))}."
        yield checks.Error(
            f"READYZ_REQUIRED names unknown checks: {', '.join(sorted(unknown))}.", hint=hint, id="eps.E002"
        )
    if "weaviate" in settings.READYZ_REQUIRED and not settings.WEAVIATE_URL:
        hint = "Set WEAVIATE_URL, or take weaviate out of READYZ_REQUIRED; as it is, /readyz never succeeds."
        yield checks.Warning("READYZ_REQUIRED names weaviate, which is not configured.", hint=hint, id="eps.W002")
    if "redis" not in settings.READYZ_REQUIRED:
        hint = "Every turn needs Redis: add redis to READYZ_REQUIRED."
        yield checks.Warning("Readiness does not require Redis.", hint=hint, id="eps.W005")


def _check_times(settings: Any) -> Iterator[checks.CheckMessage]:
    if settings.MODEL_SILENCE_S > settings.MAX_RUN_S:
        hint = "MAX_RUN_S ends an answer before MODEL_SILENCE_S can."
        yield checks.Warning("MODEL_SILENCE_S is longer than MAX_RUN_S.", hint=hint, id="eps.W003")
    needed_s = 2 * settings.DRAIN_S + settings.LEASE_S
    if needed_s > settings.EVENT_LOG_RETENTION_S:
        hint = f"A client that comes back after a drain would find no log: keep it for at least {needed_s:g} s."
        yield checks.Error("EVENT_LOG_RETENTION_S is shorter than a drain.", hint=hint, id="eps.E006")
    grace_s = 2 * settings.DRAIN_S + CLOSING_S
    if 0 < settings.GRACE_PERIOD_S < grace_s:
        hint = (
            f"Set terminationGracePeriodSeconds to at least {grace_s:g} (2 × DRAIN_S + {CLOSING_S}), or DRAIN_S lower."
        )
        yield checks.Error("The grace period is shorter than the drain.", hint=hint, id="eps.E007")
    if settings.LEASE_S < 2 * settings.REDIS_TIMEOUT_S:
        hint = "A slow answer of Redis would cost a lease: set LEASE_S to at least twice REDIS_TIMEOUT_S."
        yield checks.Warning("LEASE_S is short beside REDIS_TIMEOUT_S.", hint=hint, id="eps.W006")


def _is_local(url: str) -> bool:
    return urlsplit(url).scheme == "unix" or (urlsplit(url).hostname or "") in LOCAL_HOSTS

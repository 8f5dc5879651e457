"""Settings sanity: each mistake has its id and says what to do; sane settings say nothing."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.checks import CheckMessage

from config.checks import judge as judge_settings
from config.live_checks import RedisFacts, judge

SANE: dict[str, Any] = {
    "SECRET_KEY": "k" * 50,
    "SECRET_KEY_FALLBACKS": ["f" * 50],
    "HTTPS": True,
    "TRUSTED_PROXY": True,
    "DEBUG": False,
    "ALLOWED_HOSTS": ["eps.example.com"],
    "REDIS_URL": "redis://redis.example.com/0",
    "CACHE_URL": "redis://redis.example.com/1",
    "DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 0}},
    "READYZ_REQUIRED": ["redis"],
    "WEAVIATE_URL": None,
    "FILES_S3_BUCKET": "files",
    "GRACE_PERIOD_S": 75.0,
    "DRAIN_S": 30.0,
    "LEASE_S": 10.0,
    "REDIS_TIMEOUT_S": 2.0,
    "EVENT_LOG_RETENTION_S": 3600,
    "MODEL_SILENCE_S": 60.0,
    "MAX_RUN_S": 600.0,
}
SQLITE = {"default": {"ENGINE": "django.db.backends.sqlite3", "CONN_MAX_AGE": 0}}
KEPT = {"default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60}}


def make(**changes: Any) -> SimpleNamespace:
    """Settings of a production that is well set up, with these changes."""
    return SimpleNamespace(**SANE | changes)


def ids(messages: list[CheckMessage]) -> list[str | None]:
    """What was complained of; each complaint has a hint."""
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


def test_sane_settings_say_nothing() -> None:
    assert ids(judge_settings(make())) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SECRET_KEY": ""}, "eps.E001"),
        ({"FILES_S3_BUCKET": None}, "eps.W009"),
        ({"READYZ_REQUIRED": ["redis", "mongo"]}, "eps.E002"),
        ({"SECRET_KEY": "short"}, "eps.E003"),
        ({"SECRET_KEY": "django-insecure-" + "k" * 50}, "eps.E003"),
        ({"DEBUG": True}, "eps.E004"),
        ({"DATABASES": KEPT}, "eps.E005"),
        ({"EVENT_LOG_RETENTION_S": 60}, "eps.E006"),
        ({"GRACE_PERIOD_S": 30.0}, "eps.E007"),
        ({"CACHE_URL": SANE["REDIS_URL"]}, "eps.W001"),
        ({"READYZ_REQUIRED": ["redis", "weaviate"]}, "eps.W002"),
        ({"MODEL_SILENCE_S": 1000.0}, "eps.W003"),
        ({"DATABASES": SQLITE}, "eps.W004"),
        ({"READYZ_REQUIRED": []}, "eps.W005"),
        ({"REDIS_TIMEOUT_S": 8.0}, "eps.W006"),
        ({"SECRET_KEY_FALLBACKS": ["f" * 50, "short"]}, "eps.W007"),
        ({"TRUSTED_PROXY": False}, "eps.W008"),
    ],
)
def test_each_mistake_is_named(changes: dict[str, Any], expected: str) -> None:
    assert ids(judge_settings(make(**changes))) == [expected]


def test_debug_and_sqlite_on_ones_own_machine_are_fine() -> None:
    own: dict[str, Any] = {"DEBUG": True, "ALLOWED_HOSTS": ["localhost", "127.0.0.1"], "DATABASES": SQLITE}
    assert ids(judge_settings(make(**own, REDIS_URL="redis://127.0.0.1:6379/0"))) == []


GOOD = RedisFacts("7.2.4", maxmemory="1000000000", maxmemory_policy="noeviction", appendonly="yes", skew_s=0.1)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (GOOD, []),
        (RedisFacts(None, None, None, None, 0.0), []),
        (replace(GOOD, version="6.0.16"), ["eps.E101"]),
        (replace(GOOD, maxmemory_policy="allkeys-lru"), ["eps.E102"]),
        (replace(GOOD, appendonly="no"), ["eps.W101"]),
        (replace(GOOD, maxmemory="0"), ["eps.W102"]),
        (replace(GOOD, skew_s=3.0), ["eps.W103"]),
    ],
)
def test_a_redis_is_judged_by_what_it_says(facts: RedisFacts, expected: list[str]) -> None:
    assert ids(judge(facts)) == expected

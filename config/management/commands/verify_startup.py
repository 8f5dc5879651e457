"""`manage.py verify_startup`: opens every configured dependency, prints a table, fails when one is missing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.cache import cache
from django.core.checks import CheckMessage
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from openai import AsyncOpenAI
from typing_extensions import override

from config.connections import build_checks, open_openai, open_redis, open_weaviate
from config.live_checks import judge, read_facts
from config.redaction import hide_credentials

log = structlog.get_logger(__name__)

# Enough for a start-up: a database in another zone answers in milliseconds, a cold connection in a second.
MAX_CHECK_S = 10.0
Check = Callable[[], Awaitable[None]]


class NotMigratedError(Exception):
    """The database does not have this release's tables."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    place: str
    verdict: str
    took_ms: float
    is_ok: bool


class Command(BaseCommand):
    """Checks everything this release needs, all at the same time."""

    help = "Open every configured dependency, print a table, and exit non-zero when one is missing."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """The table goes to standard output, also when a check failed."""
        rows, complaints = asyncio.run(_verify())
        width = max(len(row.name) for row in rows), max(len(row.place) for row in rows)
        for row in rows:
            took = f"{row.took_ms:6.0f} ms"
            self.stdout.write(f"{row.name:{width[0]}}  {row.place:{width[1]}}  {took}  {row.verdict}")
        for complaint in complaints:
            self.stderr.write(str(complaint))
        if missing := [row.name for row in rows if not row.is_ok]:
            raise CommandError(f"Not there: {', '.join(missing)}.")
        if errors := [complaint.id or "" for complaint in complaints if complaint.is_serious()]:
            raise CommandError(f"Not fit to run: {', '.join(errors)}.")


async def _verify() -> tuple[list[Row], list[CheckMessage]]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis())
        weaviate = await stack.enter_async_context(open_weaviate())
        openai = await stack.enter_async_context(open_openai())
        checks: Mapping[str, Check] = {
            **build_checks(redis, weaviate),
            "cache": sync_to_async(_check_cache, thread_sensitive=False),
            "database": sync_to_async(_check_database, thread_sensitive=False),
            "model": _model_check(openai),
        }
        rows = list(await asyncio.gather(*(_ask(name, check) for name, check in checks.items())))
        is_redis_there = next(row.is_ok for row in rows if row.name == "redis")
        return rows, judge(await read_facts(redis)) if is_redis_there else []


async def _ask(name: str, check: Check) -> Row:
    began = time.monotonic()
    verdict = "ok"
    try:
        async with asyncio.timeout(MAX_CHECK_S):
            await check()
    except TimeoutError:
        verdict = f"no answer within {MAX_CHECK_S:g} s"
    except Exception as exc:  # noqa: BLE001 -- drivers raise anything; the table shows its name, the log its text
        log.debug("dependency_missing", name=name, error=repr(exc))
        verdict = f"failed: {type(exc).__name__}"
    took_ms = (time.monotonic() - began) * 1000
    return Row(name, hide_credentials(PLACES[name]()), verdict, took_ms, verdict == "ok")


def _check_cache() -> None:
    # Write and read back: a read-only replica also answers PING.
    cache.set("verify_startup", "ok", timeout=10)
    if cache.get("verify_startup") != "ok":
        raise ConnectionError


def _check_database() -> None:
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise NotMigratedError
    finally:
        connection.close()


def _model_check(openai: AsyncOpenAI) -> Check:
    async def check() -> None:
        await openai.with_options(max_retries=0).get("/models", cast_to=httpx2.Response)

    return check


PLACES: Mapping[str, Callable[[], str]] = {
    "redis": lambda: settings.REDIS_URL,
    "weaviate": lambda: settings.WEAVIATE_URL or "",
    "cache": lambda: settings.CACHE_URL,
    "database": lambda: settings.DATABASE_URL,
    "model": lambda: settings.OPENAI_BASE_URL,
}

"""`manage.py create_api_key OWNER [--key KEY]`: create a key for an owner and print it."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from config.connections import open_api_keys
from prompts.domain.ids import hash_key
from prompts.domain.owners import check_project
from prompts.errors import Unavailable
from prompts.models import ApiKey
from prompts.publishing.api_keys import new_key, reconcile

MIN_KEY_LENGTH = 20  # shorter ones could be guessed


class Command(BaseCommand):
    """Create a key in SQL, publish it to Redis, print it once."""

    help = "Make an API key for an owner and print it. The same KEY for the same OWNER again changes nothing."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """OWNER; and KEY, for a key that was chosen elsewhere."""
        parser.add_argument("owner", help="the project whose conversations the key opens")
        parser.add_argument("--key", help=f"the key itself, at least {MIN_KEY_LENGTH} visible characters")

    @override
    def handle(self, *args: Any, owner: str, key: str | None, **options: Any) -> None:
        """Prints the key and nothing else."""
        key = key or new_key()
        self._check(owner, key)
        defaults = {"owner": owner, "hint": f"…{key[-4:]}"}
        made, is_new = ApiKey.objects.get_or_create(key_hash=hash_key(key), defaults=defaults)
        if not is_new and (made.owner != owner or made.revoked_at is not None):
            raise CommandError("This key belongs to another owner, or was revoked. Choose another one.")
        asyncio.run(self._publish())
        self.stdout.write(key)

    def _check(self, owner: str, key: str) -> None:
        try:
            check_project(owner)
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        if len(key) < MIN_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
            raise CommandError(f"KEY must have at least {MIN_KEY_LENGTH} visible ASCII characters.")

    async def _publish(self) -> None:
        async with open_api_keys() as published_keys:
            try:
                await reconcile(published_keys)
            except Unavailable:
                self.stderr.write("Redis cannot be reached; running servers publish the key within a minute.")

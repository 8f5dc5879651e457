"""`manage.py create_api_key OWNER [--key KEY] [--name NAME] [--scopes read,write] [--expires-in 90d]`: print a key."""

import asyncio
import re
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from typing_extensions import override

from config.connections import open_api_keys
from prompts.domain.ids import hash_key, hash_narrowed_key
from prompts.domain.scopes import SCOPES
from prompts.errors import Unavailable
from prompts.models import ApiKey
from prompts.publishing.api_keys import new_key, reconcile

MIN_KEY_LENGTH = 20  # shorter ones could be guessed
UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MAX_LIFE_DAYS = 36_500


class Command(BaseCommand):
    """Create a key in SQL, publish it to Redis, print it once."""

    help = "Make an API key for an owner and print it. The same KEY for the same OWNER again changes nothing."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """OWNER; KEY, for a key that was chosen elsewhere; and what the key may do, and for how long."""
        parser.add_argument("owner", help="the project whose conversations the key opens")
        parser.add_argument("--key", help=f"the key itself, at least {MIN_KEY_LENGTH} visible characters")
        parser.add_argument("--name", default="", help="for people: what uses the key, or who has it")
        parser.add_argument("--scopes", default="", help=f"some of {','.join(SCOPES)}; without it all of them")
        parser.add_argument("--expires-in", help="how long the key is valid: 90d, 12h, 30m or 45s; without it always")

    @override
    def handle(
        self,
        *args: Any,
        owner: str,
        key: str | None,
        name: str,
        scopes: str,
        expires_in: str | None,
        **options: Any,
    ) -> None:
        """Prints the key and nothing else."""
        key = key or new_key()
        if len(key) < MIN_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
            raise CommandError(f"KEY must have at least {MIN_KEY_LENGTH} visible ASCII characters.")
        wanted = ApiKey(owner=owner, name=name, scopes=scopes.replace(",", " "))
        wanted.expires_at = timezone.now() + _read_life(expires_in) if expires_in else None
        try:
            wanted.full_clean(exclude=("key_hash", "hint"))
        except ValidationError as exc:
            raise CommandError(" ".join(exc.messages)) from exc
        wanted.take(key)
        made = ApiKey.objects.filter(key_hash__in=(hash_key(key), hash_narrowed_key(key))).first()
        if made is None:
            wanted.save()
        else:
            _check_same(made, wanted)
        asyncio.run(self._publish())
        self.stdout.write(key)

    async def _publish(self) -> None:
        async with open_api_keys() as published_keys:
            try:
                await reconcile(published_keys)
            except Unavailable:
                self.stderr.write("Redis cannot be reached; running servers publish the key within a minute.")


def _read_life(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,9})([smhd])", text)
    if found is None:
        raise CommandError("EXPIRES_IN is a number and a unit: 90d, 12h, 30m or 45s.")
    seconds = int(found[1]) * UNITS_S[found[2]]
    if seconds > MAX_LIFE_DAYS * UNITS_S["d"]:
        raise CommandError(f"A key is valid for {MAX_LIFE_DAYS:,} days at most. Leave EXPIRES_IN out for always.")
    return timedelta(seconds=seconds)


def _check_same(made: ApiKey, wanted: ApiKey) -> None:
    if made.owner != wanted.owner or made.revoked_at is not None:
        raise CommandError("This key belongs to another owner, or was revoked. Choose another one.")
    if made.has_expired:
        raise CommandError("This key has expired. Choose another one.")
    if made.scopes != wanted.scopes or (made.expires_at is None) != (wanted.expires_at is None):
        raise CommandError("This key was made with other scopes, or with another life. Choose another one.")

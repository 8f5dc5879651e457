"""`manage.py apply_retention [--dry-run]`: erases what projects do not keep any longer, once and now."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError
from typing_extensions import override

from config.connections import open_retention
from prompts.errors import ServiceError


class Command(BaseCommand):
    """What running servers do every hour."""

    help = "Erase conversations and responses that were last used before the days that their project keeps."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """Whether to erase."""
        parser.add_argument("--dry-run", action="store_true", help="only say what would be erased")

    @override
    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        """Prints what was erased of each owner whose project says how long to keep."""
        try:
            erased = asyncio.run(self._apply(is_dry=dry_run))
        except ServiceError as exc:
            raise CommandError("Redis cannot be reached. Run this again when it is back.") from exc
        except (DatabaseError, InterfaceError) as exc:
            raise CommandError("SQL cannot be reached. Run this again when it is back.") from exc
        for owner, counts in sorted(erased.items()):
            told = ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))
            self.stdout.write(f"{owner}: {'would erase ' if dry_run and told else ''}{told or 'nothing'}")
        if not erased:
            self.stdout.write("No project says how long to keep.")

    async def _apply(self, *, is_dry: bool) -> Mapping[str, Counter[str]]:
        async with open_retention() as retention:
            return await retention.apply(is_dry=is_dry)

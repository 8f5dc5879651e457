"""`manage.py archive_all`: copies everything that is in Redis to the archive once more."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from config.connections import open_outbox
from prompts.errors import Unavailable


class Command(BaseCommand):
    """Note everything for the archivers of the running servers."""

    help = "Copy all that is in Redis to SQL: after a roll from a release without an archive, or when SQL was restored."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Returns at once; `eps_archive_lag_seconds` is 0 when it is done."""
        try:
            asyncio.run(self._note_all())
        except Unavailable as exc:
            raise CommandError("Redis cannot be reached.") from exc
        self.stdout.write("The running servers copy everything from now on.")

    async def _note_all(self) -> None:
        async with open_outbox() as outbox:
            await outbox.open(is_again=True)

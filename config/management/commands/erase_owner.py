"""`manage.py erase_owner OWNER --yes`: erases everything of an owner, for good."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError
from typing_extensions import override

from config.owner_erasing import open_owner_ports
from prompts.archive.owner_erasing import Erased, erase_owner
from prompts.archive.owner_rows import may_sign_in


class Command(BaseCommand):
    """Keys are revoked first, so nothing new comes; then one kind of thing after another goes."""

    help = "Erase everything of an owner, for good: conversations, files, vector stores, prompts, keys, archive."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """OWNER, and that it is meant."""
        parser.add_argument("owner", help="the owner of the keys that are revoked and of what is erased; or user:<id>")
        parser.add_argument("--yes", action="store_true", help="that it is meant: nothing can be undone")

    @override
    def handle(self, *args: Any, owner: str, yes: bool, **options: Any) -> None:
        """Prints what was erased. The exit code is not 0 when something could not be: run the same again then."""
        if not owner.strip():
            raise CommandError("Name the owner.")
        if not yes:
            raise CommandError(f"This erases everything of '{owner}', for good. Add --yes if that is meant.")
        try:
            if may_sign_in(owner):
                raise CommandError("This user may still sign in. Deactivate them at /admin/auth/user/ first.")
            erased = asyncio.run(self._erase(owner))
        except (DatabaseError, InterfaceError) as exc:
            raise CommandError("SQL cannot be reached. Nothing more was erased; run this again.") from exc
        for name, count in sorted(erased.counts.items()):
            self.stdout.write(f"{name}: {count}")
        if erased.failures:
            raise CommandError("\n".join(["Not everything could be erased. Run this again.", *erased.failures]))
        self.stdout.write("Everything of this owner is erased." if erased.counts else "This owner had nothing.")

    async def _erase(self, owner: str) -> Erased:
        async with open_owner_ports() as ports:
            return await erase_owner(owner, by="erase_owner", ports=ports)

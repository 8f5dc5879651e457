"""`manage.py allow_origin OWNER ORIGIN [--remove]`: which pages may use an owner's keys in a browser."""

import asyncio
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from config.connections import open_origins
from prompts.domain.origins import read_origin
from prompts.errors import Unavailable
from prompts.models import Project
from prompts.publishing.origins import reconcile_origins


class Command(BaseCommand):
    """Change a project in SQL, publish it to Redis, print what it allows."""

    help = "Let pages of ORIGIN use the keys and client secrets of OWNER in a browser. The same again changes nothing."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """OWNER, ORIGIN, and whether it is to be taken away."""
        parser.add_argument("owner", help="the owner of the keys")
        parser.add_argument("origin", help="a site, like https://app.example.com")
        parser.add_argument("--remove", action="store_true", help="no longer allow it")

    @override
    def handle(self, *args: Any, owner: str, origin: str, remove: bool, **options: Any) -> None:
        """Prints the origins that are allowed now, one a line."""
        project = Project.objects.filter(owner=owner).first() or Project(owner=owner)
        try:
            kept = set(project.list_origins()) - {read_origin(origin)}
            project.allowed_origins = "\n".join(kept if remove else {*kept, read_origin(origin)})
            project.full_clean()
        except ValidationError as exc:
            raise CommandError(" ".join(exc.messages)) from exc
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        project.save()
        asyncio.run(self._publish())
        self.stdout.write(project.allowed_origins)

    async def _publish(self) -> None:
        async with open_origins() as origins:
            try:
                await reconcile_origins(origins)
            except Unavailable:
                self.stderr.write("Redis cannot be reached; running servers publish the change within a minute.")

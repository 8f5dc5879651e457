"""`manage.py sign_in_link USER [--url URL]`: print a link that signs a user in, once."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django_redis.exceptions import ConnectionInterrupted  # type: ignore[import-untyped]  # it has no types
from redis.exceptions import RedisError
from typing_extensions import override

from config import env
from prompts.page.sign_in_links import LIFE_S, make_path


class Command(BaseCommand):
    """Make a nonce in the cache, print the link that uses it up."""

    help = f"Print a link that signs USER in: it opens once, within {LIFE_S // 60} minutes. Whoever has it is USER."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """USER; and where browsers find the service."""
        parser.add_argument("user", help="the name with which the user signs in")
        address = f"http://{env.text('HOST', '127.0.0.1')}:{env.integer('PORT', 8000)}"
        parser.add_argument("--url", default=address, help="the service's address for browsers; default: %(default)s")

    @override
    def handle(self, *args: Any, user: str, url: str, **options: Any) -> None:
        """Prints the link and nothing else."""
        found = User.objects.filter(username=user, is_active=True).first()
        if found is None:
            raise CommandError(f"There is no user '{user}' who may sign in. Make one: manage.py createsuperuser.")
        try:
            path = make_path(found)
        except (ConnectionInterrupted, RedisError) as exc:
            raise CommandError("The cache (CACHE_URL) cannot be reached: the link would open nothing.") from exc
        self.stdout.write(url.rstrip("/") + path)

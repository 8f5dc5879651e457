"""Users whose client secrets are valid: those who are signed in, and may still sign in."""

from collections.abc import Iterable
from functools import partial
from itertools import islice

import structlog
from django.contrib.auth.models import User

from prompts.domain.owners import USER_PREFIX, name_user
from prompts.ports.user_proofs import UserProofs
from prompts.sql_calls import ask_sql

log = structlog.get_logger(__name__)

# Of one query: SQLite takes 32,766 parameters.
MAX_ASKED = 10_000


async def reconcile_users(proofs: UserProofs) -> None:
    """End the secrets of those who may not sign in any more. Raises Unavailable."""
    published = await proofs.list_owners()
    if gone := published - await ask_sql(partial(_read_active, published)):
        await proofs.withdraw(gone)
        log.info("user_secrets_ended", users=len(gone))


def _read_active(owners: Iterable[str]) -> set[str]:
    numbers = (owner.removeprefix(USER_PREFIX) for owner in owners)
    left = iter([int(number) for number in numbers if number.isascii() and number.isdigit()])
    active: set[str] = set()
    while asked := list(islice(left, MAX_ASKED)):
        active.update(map(name_user, User.objects.filter(pk__in=asked, is_active=True).values_list("pk", flat=True)))
    return active

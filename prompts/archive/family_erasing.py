"""Erases a family of conversations everywhere: in Redis by its guarded deletion, then in the archive and its index."""

from collections import Counter
from functools import partial

from prompts.archive.counting import count_archived
from prompts.archive.erasing import erase_family
from prompts.archive.families import ArchivedFamily
from prompts.ports.eraser import Eraser
from prompts.ports.families import Families, LivingFamily
from prompts.run.sweeping import erase_left
from prompts.sql_calls import ask_sql

REDIS_CONVERSATIONS = "Redis: conversations, forks included"
REDIS_RESPONSES = "Redis: responses, with event logs"


async def erase_living(
    family: LivingFamily, *, families: Families, eraser: Eraser, only_unused: bool
) -> Counter[str] | None:
    """Erase what is in Redis, and its copy; what was deleted, for a receipt. None when it was used, or is gone.

    Raises Unavailable, DatabaseError, InterfaceError: the same call again goes on with what is left.
    """
    counts = await ask_sql(partial(count_archived, timelines=family.timelines, conversations=family.conversations))
    left = await families.delete(family, only_unused=only_unused)
    if left is None:
        return None
    await erase_left(eraser, left)
    await ask_sql(partial(erase_family, timelines=family.timelines, conversations=family.conversations))
    return +(counts + count_living(family))


def count_living(family: LivingFamily) -> Counter[str]:
    """What Redis has of it, by the words of a receipt."""
    return +Counter({REDIS_CONVERSATIONS: len(family.conversations), REDIS_RESPONSES: len(family.responses)})


async def erase_archived(family: ArchivedFamily, *, families: Families) -> Counter[str] | None:
    """Erase what is in the archive only. None when Redis has it, or is about to. Raises as above."""
    counts = await ask_sql(partial(count_archived, timelines=family.timelines, conversations=family.conversations))
    if not await families.delete_archived(family.members):
        return None
    await ask_sql(partial(erase_family, timelines=family.timelines, conversations=family.conversations))
    return counts

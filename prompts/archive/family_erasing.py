"""Erases a family of conversations everywhere: in Redis by its guarded deletion, then in the archive and its index."""

from collections import Counter
from functools import partial

import structlog
from django.db import DatabaseError, InterfaceError

from prompts.archive.counting import REDIS_CONVERSATIONS, REDIS_RECORDS, REDIS_RESPONSES, count_archived
from prompts.archive.erasing import drop_deleted_words, erase_family
from prompts.archive.families import ArchivedFamily, read_claims
from prompts.errors import BrokenRecord
from prompts.ports.eraser import Eraser
from prompts.ports.families import Families, LivingFamily
from prompts.run.sweeping import erase_left
from prompts.sql_calls import ask_sql

log = structlog.get_logger(__name__)


async def erase_living(
    family: LivingFamily,
    *,
    families: Families,
    eraser: Eraser,
    only_unused: bool,
    archived: ArchivedFamily | None = None,
) -> Counter[str] | None:
    """Erase what is in Redis, and its copy; what was deleted, for a receipt. None when it was used, or is gone.

    With what the archive has of it that Redis may not have. Raises Unavailable (BrokenRecord: others can be erased),
    DatabaseError, InterfaceError: the same call again goes on with what is left.
    """
    timelines = {*family.timelines, *(archived.timelines if archived else ())}
    conversations = {*family.conversations, *(archived.conversations if archived else ())}
    counts = await ask_sql(partial(count_archived, timelines=timelines, conversations=conversations))
    claims = await ask_sql(partial(read_claims, timelines))
    records = await families.find_records({*family.responses, *claims}, claims=claims)
    left = await families.delete(family, only_unused=only_unused)
    if left is None:
        return None
    await erase_left(eraser, left)
    # Whoever sweeps may have erased some of it, and what that left is due by itself.
    await erase_left(eraser, await families.list_left(family.timelines))
    if await families.list_left(family.timelines):
        raise BrokenRecord("Some of it could not be erased. Erase it again.")
    await families.erase_records(records)
    await ask_sql(partial(erase_family, timelines=timelines, conversations=conversations))
    return +(counts + count_living(family) + Counter({REDIS_RECORDS: len(records)}))


def count_living(family: LivingFamily) -> Counter[str]:
    """What Redis has of it, by the words of a receipt."""
    return +Counter({REDIS_CONVERSATIONS: len(family.conversations), REDIS_RESPONSES: len(family.responses)})


async def erase_archived(family: ArchivedFamily, *, families: Families) -> Counter[str] | None:
    """Erase what is in the archive only. None when Redis has it, or is about to. Raises as above."""
    counts = await ask_sql(partial(count_archived, timelines=family.timelines, conversations=family.conversations))
    claims = await ask_sql(partial(read_claims, family.timelines))
    records = await families.find_records({*claims}, claims=claims)
    if not await families.delete_archived(family.members):
        return None
    await families.erase_records(records)
    await ask_sql(partial(erase_family, timelines=family.timelines, conversations=family.conversations))
    return +(counts + Counter({REDIS_RECORDS: len(records)}))


async def drop_words() -> None:
    """Take what was erased out of the files of SQLite as well; while these are busy, the next erasure does."""
    try:
        await ask_sql(drop_deleted_words)
    except (DatabaseError, InterfaceError) as error:
        log.warning("deleted_words_stay", reason=type(error).__name__)

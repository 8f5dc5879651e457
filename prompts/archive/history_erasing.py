"""Erases a conversation or a chain everywhere, with what hangs on it and what was uploaded for it; a receipt says what.

Its files go first, while it is still there to name them; its rows go last. So what is away stops the erasure, and the
same erasure again goes on with what is left.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial

import structlog

from prompts.archive.conversation_files import COPIED_S, ConversationFiles, find_conversation_files, is_copied
from prompts.archive.counting import AGAIN, FILES, KEPT_FILES, KEPT_VECTOR_STORES, VECTOR_STORES, VECTORS
from prompts.archive.erasure_receipts import ReceiptWriter
from prompts.archive.families import ArchivedFamily, find_branch, find_chain, find_compacted
from prompts.archive.family_erasing import drop_words, erase_archived, erase_living
from prompts.archive.knowledge_erasing import (
    ErasurePorts,
    erase_vector_store,
    erase_whole_file,
    wait_until_unindexed,
)
from prompts.domain import ids
from prompts.errors import ServiceError, Unavailable
from prompts.ports.families import LivingFamily
from prompts.run.sweeping import erase_deleted, erase_left
from prompts.sql_calls import ask_sql

log = structlog.get_logger(__name__)

# While it is restored from the archive, it is neither here nor there; that takes seconds at most.
TRIES = 20
PAUSE_S = 0.5


async def erase_history(
    history_id: str,
    *,
    owner: str,
    ports: ErasurePorts,
    receipt: ReceiptWriter,
    with_files: bool,
    copied_s: float = COPIED_S,
) -> bool:
    """Erase it; whether all of it is erased. What is in the way stands in the receipt.

    `copied_s` is how long it waits for the archive, which knows what else uses its files.

    Raises DatabaseError, InterfaceError when SQL is away: the receipt, if there is one, says what went before.
    """
    await ask_sql(receipt.begin)
    is_complete = False
    what = "files"
    try:
        if with_files:
            if not await is_copied(ports, owner, within_s=copied_s):
                raise Unavailable("The archive is behind: it does not know yet what else uses the files.")
            await _erase_files(history_id, owner, ports, receipt)
        what = receipt.row.subject_kind
        await _erase(history_id, owner, ports, receipt)
        is_complete = True
    except ServiceError as error:
        log.warning("history_not_erased", history_id=history_id, what=what, reason=error.message)
        await ask_sql(partial(receipt.note, f"{AGAIN}{what}"))
    await ask_sql(partial(receipt.end, is_complete=is_complete, may_be_empty=True))
    return is_complete


async def find_files(history_id: str, *, owner: str, ports: ErasurePorts) -> ConversationFiles:
    """What `erase_history` would find as its files. Raises Unavailable, DatabaseError, InterfaceError."""
    found = await ask_sql(partial(_find_archived, history_id, owner))
    return await find_conversation_files(
        owner,
        timelines={timeline for family in found for timeline in family.timelines},
        conversations={conversation for family in found for conversation in family.conversations},
        ports=ports,
    )


def _find_archived(history_id: str, owner: str) -> Sequence[ArchivedFamily]:
    """The conversation or chain with what hangs on it, and each chain that was made of its words."""
    find = find_branch if _is_conversation(history_id) else find_chain
    family = find(history_id, owner=owner)
    return [] if family is None else [family, *find_compacted(family, owner=owner)]


def _is_conversation(history_id: str) -> bool:
    return ids.is_of_kind(history_id, ids.CONVERSATION)


async def _erase_files(history_id: str, owner: str, ports: ErasurePorts, receipt: ReceiptWriter) -> None:
    found = await find_files(history_id, owner=owner, ports=ports)
    if not found.is_known:
        raise Unavailable("It could not be found out in time what else uses the files.")
    for store in found.stores:
        if await erase_vector_store(store.id, owner=owner, ports=ports):
            await ask_sql(partial(receipt.add, Counter({VECTOR_STORES: 1})))
    for file in found.files:
        if await erase_whole_file(file.id, owner=owner, ports=ports):
            await ask_sql(partial(receipt.add, Counter({FILES: 1})))
    if found.stores or found.files:
        await wait_until_unindexed([store.id for store in found.stores], ports=ports)
    kept = Counter({KEPT_FILES: len(found.kept_files), KEPT_VECTOR_STORES: len(found.kept_stores)})
    await ask_sql(partial(receipt.add, +kept))


async def _erase(history_id: str, owner: str, ports: ErasurePorts, receipt: ReceiptWriter) -> None:
    for _ in range(TRIES):
        if await _try_to_erase(history_id, owner, ports, receipt):
            await drop_words()
            await ask_sql(partial(receipt.add, +Counter({VECTORS: await ports.traces.forget_vectors()})))
            return
        await asyncio.sleep(PAUSE_S)
    raise Unavailable("It is being restored, or another erasure has not ended.")


async def _try_to_erase(history_id: str, owner: str, ports: ErasurePorts, receipt: ReceiptWriter) -> bool:
    """False when some of it is restored, or erased by somebody else, at this moment."""
    archived = await ask_sql(partial(_find_archived, history_id, owner))
    if not _is_conversation(history_id):
        return await _try_to_erase_chains(archived, ports, receipt)
    if not await _try_to_erase_chains(archived[1:], ports, receipt):
        return False
    return await _try_to_erase_conversation(history_id, owner, archived[0] if archived else None, ports, receipt)


async def _try_to_erase_chains(chains: Sequence[ArchivedFamily], ports: ErasurePorts, receipt: ReceiptWriter) -> bool:
    for chain in chains:
        for root in chain.roots:
            living = await ports.families.find(f"chain:{root}")
            if not await _erase_family(living, chain, ports, receipt):
                return False
    return True


async def _try_to_erase_conversation(
    conversation_id: str, owner: str, branch: ArchivedFamily | None, ports: ErasurePorts, receipt: ReceiptWriter
) -> bool:
    living = await ports.families.find_conversation(conversation_id)
    if living is None or living.owner != owner:
        living = None
        await erase_deleted(ports.eraser, conversation_id)  # what an erasure has left that broke off
    return (living is None and branch is None) or await _erase_family(living, branch, ports, receipt)


async def _erase_family(
    living: LivingFamily | None, archived: ArchivedFamily | None, ports: ErasurePorts, receipt: ReceiptWriter
) -> bool:
    families, eraser = ports.families, ports.eraser
    if living is not None:
        erased = await erase_living(living, families=families, eraser=eraser, only_unused=False, archived=archived)
    elif archived is not None:
        await erase_left(eraser, await families.list_left(archived.timelines))
        erased = await erase_archived(archived, families=families)
    else:
        erased = Counter()
    if erased is None:
        return False
    await ask_sql(partial(receipt.add, erased))
    return True

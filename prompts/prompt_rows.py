"""Prompts in SQL: what is read and changed of them, by the API and by staff. All of it waits for the database.

A change locks the template's row, so that of two at once the second sees what the first has made.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone

from prompts.domain.prompts import EVERYBODY, PromptContent, PromptVersion
from prompts.errors import NotFound, PromptChanged, QuotaExceeded, Unavailable, unknown_prompt
from prompts.models import Prompt
from prompts.models import PromptVersion as VersionRow
from prompts.ports.prompts import MAX_PROMPT_BYTES, MAX_PROMPTS, MAX_VERSIONS, Publication, VersionsPage

# A row beside its text.
ROW_BYTES = 500


def create_prompt(prompt_id: str, content: PromptContent, *, owner: str, name: str | None) -> PromptVersion:
    """See `PromptStore.create`."""
    with transaction.atomic():
        if owner != EVERYBODY and Prompt.objects.filter(owner=owner).count() >= MAX_PROMPTS:
            raise QuotaExceeded(f"You have {MAX_PROMPTS:,} prompts, the most of one owner. Delete some.")
        row = Prompt.objects.create(id=prompt_id, owner=owner, name=name or "")
        return _add(row, content)


def get_version(prompt_id: str, *, owner: str, number: int | None) -> PromptVersion:
    """See `PromptStore.get`."""
    row = _find(prompt_id, owner)
    wanted = row.default_number if number is None else number
    found = row.versions.filter(number=wanted).first()
    if found is None:
        raise unknown_prompt(prompt_id, number)
    return read_version(row, found)


def list_defaults(*, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None) -> VersionsPage:
    """See `PromptStore.list_prompts`."""
    rows = _usable(owner)
    if after is not None:
        last = rows.filter(id=after).first()
        if last is None:
            raise unknown_prompt(after, param="after")
        sign = "gt" if order == "asc" else "lt"
        same_time = Q(created_at=last.created_at, **{f"id__{sign}": last.id})
        rows = rows.filter(Q(**{f"created_at__{sign}": last.created_at}) | same_time)
    direction = "" if order == "asc" else "-"
    page = list(rows.order_by(f"{direction}created_at", f"{direction}id")[: limit + 1])
    shown = VersionRow.objects.filter(prompt__in=page[:limit], number=F("prompt__default_number"))
    defaults = {found.prompt_id: found for found in shown}
    return VersionsPage(
        [read_version(row, defaults[row.id]) for row in page[:limit] if row.id in defaults], len(page) > limit
    )


def list_versions(
    prompt_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: int | None
) -> VersionsPage:
    """See `PromptStore.list_versions`."""
    row = _find(prompt_id, owner)
    found = row.versions.order_by("number" if order == "asc" else "-number")
    if after is not None:
        if not 1 <= after <= row.latest_number:
            raise unknown_prompt(prompt_id, after, param="after")
        found = found.filter(**{"number__gt" if order == "asc" else "number__lt": after})
    page = list(found[: limit + 1])
    return VersionsPage([read_version(row, version) for version in page[:limit]], len(page) > limit)


def add_version(
    prompt_id: str,
    content: PromptContent,
    *,
    owner: str | None,
    after: int,
    name: str | None,
    becomes_default: bool,
) -> PromptVersion:
    """See `PromptStore.add_version`. Without an owner it is done for staff, who change everybody's and all others."""
    with transaction.atomic():
        row = _lock(prompt_id, owner)
        if row.latest_number != after:
            message = f"Version {after} of prompt '{prompt_id}' is not the latest: version {row.latest_number} is."
            raise PromptChanged(f"{message} Look at that one, and send your change again.", param="version")
        row.latest_number = after + 1
        if becomes_default:
            row.default_number = row.latest_number
        if name is not None:
            row.name = name
        made = _add(row, content)
        _note_change(row)
        return made


def set_default(prompt_id: str, number: int, *, owner: str | None) -> PromptVersion:
    """See `PromptStore.set_default`; likewise."""
    with transaction.atomic():
        row = _lock(prompt_id, owner)
        found = row.versions.filter(number=number).first()
        if found is None:
            raise unknown_prompt(prompt_id, number, param="version")
        if row.default_number != number:
            row.default_number = number
            _note_change(row)
        return read_version(row, found)


def delete_prompt(prompt_id: str, *, owner: str) -> None:
    """See `PromptStore.delete`."""
    with transaction.atomic():
        _lock(prompt_id, owner).delete()


def find_publication(prompt_id: str, *, above: int = 0) -> Publication | None:
    """See `PromptStore.find_publication`."""
    with transaction.atomic():  # both at one moment
        row = Prompt.objects.filter(id=prompt_id).first()
        if row is None:
            return None
        versions = list(row.versions.filter(number__gt=above))
    return Publication(
        prompt_id=row.id,
        owner=row.owner,
        revision=row.revision,
        default_number=row.default_number,
        versions={version.number: _decode(version) for version in versions},
        is_whole=above == 0,
    )


def list_revisions() -> Mapping[str, int]:
    """See `PromptStore.list_revisions`."""
    return dict(Prompt.objects.order_by().values_list("id", "revision"))


def read_version(row: Prompt, found: VersionRow) -> PromptVersion:
    """A version as the use cases know it."""
    return PromptVersion(
        prompt_id=row.id,
        owner=row.owner,
        name=row.name or None,
        number=found.number,
        default_number=row.default_number,
        latest_number=row.latest_number,
        created_at=int(found.created_at.timestamp()),
        content=_decode(found),
    )


def find_content(row: Prompt, number: int) -> PromptContent:
    """What a version says."""
    return _decode(row.versions.get(number=number))


def _usable(owner: str) -> "QuerySet[Prompt]":
    return Prompt.objects.filter(owner__in=(owner, EVERYBODY))


def _find(prompt_id: str, owner: str) -> Prompt:
    row = _usable(owner).filter(id=prompt_id).first()
    if row is None:
        raise unknown_prompt(prompt_id)
    return row


def _lock(prompt_id: str, owner: str | None) -> Prompt:
    rows = Prompt.objects.select_for_update().filter(id=prompt_id)
    row = (rows if owner is None else rows.filter(owner=owner)).first()
    if row is not None:
        return row
    if rows.filter(owner=EVERYBODY).exists():
        message = f"Prompt '{prompt_id}' is everybody's: only staff change it. Make one of your own in its place."
        raise NotFound(message, code="prompt_not_found", param="prompt_id")
    raise unknown_prompt(prompt_id)


def _add(row: Prompt, content: PromptContent) -> PromptVersion:
    if row.latest_number > MAX_VERSIONS:
        raise QuotaExceeded(f"Prompt '{row.id}' has {MAX_VERSIONS} versions, the most of one. Make a new one.")
    size = len(msgspec.json.encode(content)) + ROW_BYTES
    if row.owner != EVERYBODY:
        kept = VersionRow.objects.filter(prompt__owner=row.owner).aggregate(bytes=Sum("size"))["bytes"] or 0
        if kept + size > MAX_PROMPT_BYTES:
            message = (
                f"Your prompts have {MAX_PROMPT_BYTES // 1024**2} MB in all their versions, the most of one owner."
            )
            raise QuotaExceeded(f"{message} Delete some.")
    made = row.versions.create(number=row.latest_number, content=msgspec.to_builtins(content), size=size)
    return read_version(row, made)


def _note_change(row: Prompt) -> None:
    row.revision += 1
    row.changed_at = timezone.now()
    row.save()


def _decode(found: VersionRow) -> PromptContent:
    try:
        return msgspec.convert(found.content, PromptContent)
    except msgspec.ValidationError as exc:  # a newer release may know more
        raise Unavailable("This server cannot read the prompt yet. Try again later.", retry_after_s=5) from exc

"""Histories of the archive as staff list them: columns that conversations and chains share, and chains."""

import json
from typing import TYPE_CHECKING, Any

from django.db import models
from typing_extensions import override

if TYPE_CHECKING:
    from prompts.models.archive import ArchivedResponse

MAX_ID_CHARACTERS = 64
# Longer ones are cut.
MAX_NAME_CHARACTERS = 200


def read_json(text: str) -> Any:
    """What is kept as JSON; None for nothing."""
    return json.loads(text) if text else None


def index_lists(prefix: str) -> list[models.Index]:
    """What lists of histories are read by: the last used first, each filter by itself."""
    newest = ("-last_used_at", "-id")
    return [
        models.Index(fields=newest, name=f"{prefix}_newest"),
        models.Index(fields=("owner", *newest), name=f"{prefix}_by_owner"),
        models.Index(fields=("last_model", *newest), name=f"{prefix}_by_model"),
        models.Index(fields=("last_prompt_id", *newest), name=f"{prefix}_by_prompt"),
        models.Index(fields=("last_status", *newest), name=f"{prefix}_by_status"),
        models.Index(
            fields=("last_feedback", *newest),
            name=f"{prefix}_by_feedback",
            condition=models.Q(last_feedback__isnull=False),
        ),
        models.Index(fields=newest, name=f"{prefix}_failed", condition=models.Q(has_error=True)),
    ]


class ArchivedHistory(models.Model):
    """What lists show of a history and filter it by. What stands in `last_…` is its newest response's."""

    id = models.CharField(primary_key=True, max_length=MAX_ID_CHARACTERS)
    owner = models.CharField(max_length=MAX_NAME_CHARACTERS)
    forked_from = models.CharField(max_length=MAX_ID_CHARACTERS, blank=True, db_index=True)
    head = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField()
    expired_at = models.DateTimeField(null=True, blank=True, help_text="When Redis let it go; empty: Redis has it.")
    changed_at = models.DateTimeField(auto_now=True)
    last_model = models.CharField(max_length=MAX_NAME_CHARACTERS, blank=True)
    last_prompt_id = models.CharField(max_length=MAX_ID_CHARACTERS, blank=True)
    last_status = models.CharField(max_length=20, blank=True)
    last_feedback = models.SmallIntegerField(null=True, blank=True, help_text="The newest feedback on any response.")
    has_error = models.BooleanField(default=False, help_text="Some response has failed.")

    class Meta:
        abstract = True


class ArchivedChain(ArchivedHistory):
    """Responses that continue one another without a conversation, or one that stands alone; its id is its timeline's.

    A branch of a chain, or of a conversation, is a chain of its own. The archiver keeps it in step with its responses.
    """

    kind = "chain"
    title = ""

    class Meta:
        verbose_name = "chain"
        ordering = ("-last_used_at", "-id")
        indexes = index_lists("archived_chain")

    @override
    def __str__(self) -> str:
        return self.id

    @property
    def timeline(self) -> str:
        """The one that its items are on."""
        return self.id

    @property
    def metadata(self) -> dict[str, str]:
        """Clients keep nothing with it."""
        return {}

    @property
    def responses(self) -> "models.QuerySet[ArchivedResponse]":
        """Those that are on its timeline."""
        from prompts.models.archive import ArchivedResponse  # which takes the columns from here

        return ArchivedResponse.objects.filter(timeline=self.id)

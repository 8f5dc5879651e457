"""The archive: a copy of what Redis holds, for staff, for searches in what was said, and for what Redis let go.

The archiver (`prompts/archive/`) writes it. JSON is kept as text, byte for byte as Redis had it: what is restored is
what was, and PostgreSQL's own JSON cannot hold every text. The properties read it. Columns beside it are for lists,
filters and searches.
"""

import json
from typing import Any

from django.db import models
from typing_extensions import override

from prompts.models.histories import MAX_ID_CHARACTERS, MAX_NAME_CHARACTERS, ArchivedHistory, index_lists, read_json


class Recorded:
    """What is kept of a thing as Redis holds it, so that it can be restored."""

    record_json: str

    @property
    def record(self) -> dict[str, str]:
        """The fields of its hash in Redis; of a response those that have no column of their own here."""
        return json.loads(self.record_json)  # type: ignore[no-any-return]  # an object of strings


class ArchivedConversation(Recorded, ArchivedHistory):
    """A conversation."""

    kind = "conversation"

    title = models.TextField(blank=True)
    timeline = models.CharField(max_length=MAX_ID_CHARACTERS, blank=True)
    record_json = models.TextField(help_text="The fields that Redis holds of it, as a JSON object of strings.")

    class Meta:
        verbose_name = "conversation"
        ordering = ("-last_used_at", "-id")
        permissions = (("erase_conversation", "Can erase a conversation everywhere, for good"),)
        indexes = (
            *index_lists("archived_conv"),
            # A client's own list goes on with these.
            models.Index(
                fields=("owner", "-last_used_at", "-id"),
                name="archived_conv_expired",
                condition=models.Q(expired_at__isnull=False),
            ),
        )

    @override
    def __str__(self) -> str:
        return self.title or self.id

    @property
    def metadata(self) -> dict[str, str]:
        """What clients keep with it."""
        return read_json(self.record.get("metadata", "")) or {}


class ArchivedTimeline(Recorded, models.Model):
    """A timeline: which history its items belong to, and where it was forked. `copied`: so far its items are here."""

    id = models.CharField(primary_key=True, max_length=MAX_ID_CHARACTERS)
    owner = models.CharField(max_length=MAX_NAME_CHARACTERS)
    conversation_id = models.CharField(max_length=MAX_ID_CHARACTERS, blank=True, db_index=True)
    root = models.CharField(max_length=MAX_ID_CHARACTERS, db_index=True)
    origin = models.CharField(max_length=MAX_ID_CHARACTERS, blank=True, db_index=True)
    parent = models.CharField(max_length=MAX_ID_CHARACTERS, blank=True, db_index=True)
    parent_position = models.PositiveBigIntegerField(default=0, help_text="How much of its parent it shares.")
    length = models.PositiveBigIntegerField(default=0)
    copied = models.PositiveBigIntegerField(default=0)
    record_json = models.TextField(help_text="The fields that Redis holds of it, as a JSON object of strings.")

    @override
    def __str__(self) -> str:
        return self.id


class ArchivedResponse(Recorded, models.Model):
    """A response: what was asked, what came of it, and what that took."""

    id = models.CharField(primary_key=True, max_length=MAX_ID_CHARACTERS)
    owner = models.CharField(max_length=MAX_NAME_CHARACTERS)
    conversation = models.ForeignKey(
        ArchivedConversation,
        null=True,
        on_delete=models.DO_NOTHING,  # a response may come before its conversation, and the archiver deletes both
        db_constraint=False,
        db_index=False,
        related_name="responses",
    )
    timeline = models.CharField(max_length=MAX_ID_CHARACTERS, help_text="The one that its items are on.")
    position = models.PositiveBigIntegerField(default=0, help_text="Where its items end on the timeline.")
    previous_response_id = models.CharField(max_length=MAX_ID_CHARACTERS, blank=True, db_index=True)
    model = models.CharField(max_length=MAX_NAME_CHARACTERS)
    status = models.CharField(max_length=20)
    error_code = models.CharField(max_length=100, blank=True)
    error_message = models.TextField(blank=True)
    prompt_id = models.CharField(max_length=MAX_ID_CHARACTERS, blank=True)
    prompt_version = models.CharField(max_length=20, blank=True)
    created_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True, blank=True, help_text="When it ended, however it ended.")
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    input_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    output_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    cached_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    reasoning_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    feedback_score = models.SmallIntegerField(null=True, blank=True)
    feedback_comment = models.TextField(blank=True)
    feedback_at = models.DateTimeField(null=True, blank=True)
    input_json = models.TextField(blank=True, help_text="What the client sent: a JSON array of items.")
    request_json = models.TextField(blank=True, help_text="What the model was asked with.")
    result_json = models.TextField(blank=True, help_text="The response as the API shows it; empty until it has ended.")
    passages_json = models.TextField(blank=True, help_text="What of the team's knowledge the model was given.")
    record_json = models.TextField(help_text="The other fields that Redis holds of it, as a JSON object of strings.")

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(fields=("-created_at", "-id"), name="archived_resp_newest"),
            # Holds all that the dashboard counts: it is read alone.
            models.Index(
                fields=("created_at", "model", "status", "input_tokens", "output_tokens", "first_token_ms"),
                name="archived_resp_usage",
            ),
            models.Index(fields=("conversation", "-created_at", "-id"), name="archived_resp_by_conv"),
            models.Index(fields=("timeline", "-created_at", "-id"), name="archived_resp_by_timeline"),
            models.Index(fields=("owner", "-created_at", "-id"), name="archived_resp_by_owner"),
            # All that is counted of an owner's months: it is read alone.
            models.Index(fields=("owner", "created_at", "input_tokens", "output_tokens"), name="archived_resp_tokens"),
            models.Index(fields=("model", "-created_at", "-id"), name="archived_resp_by_model"),
            models.Index(fields=("prompt_id", "-created_at", "-id"), name="archived_resp_by_prompt"),
            models.Index(fields=("status", "-created_at", "-id"), name="archived_resp_by_status"),
            models.Index(
                fields=("feedback_score", "-created_at", "-id"),
                name="archived_resp_by_feedback",
                condition=models.Q(feedback_score__isnull=False),
            ),
            models.Index(
                fields=("-created_at", "-id"), name="archived_resp_failed", condition=~models.Q(error_code="")
            ),
        )

    @override
    def __str__(self) -> str:
        return self.id

    @property
    def input(self) -> list[dict[str, Any]]:
        """The items that the client sent."""
        return read_json(self.input_json) or []

    @property
    def request(self) -> dict[str, Any]:
        """What the model was asked with."""
        return read_json(self.request_json) or {}

    @property
    def result(self) -> dict[str, Any] | None:
        """The response object as the API shows it, `eps:model_input` included; None until it has ended."""
        return read_json(self.result_json)  # type: ignore[no-any-return]  # an object

    @property
    def passages(self) -> list[dict[str, Any]]:
        """The passages that the model was given, by their numbers."""
        return read_json(self.passages_json) or []

    @property
    def ignored(self) -> list[str]:
        """What of the request was left out, by its places."""
        return list((self.result or {}).get("eps:ignored", ()))

    @property
    def follow_ups(self) -> list[str]:
        """The questions that were suggested behind it."""
        return read_json(self.record.get("follow_ups", "")) or []


class ArchivedItem(models.Model):
    """An item of a timeline. A fork has no copy of what it shares; `prompts.archive.histories` reads all of it."""

    # A number: SQLite's full-text search finds rows by it.
    id = models.BigAutoField(primary_key=True)
    item_id = models.CharField(max_length=MAX_ID_CHARACTERS, unique=True)
    owner = models.CharField(max_length=MAX_NAME_CHARACTERS)
    conversation = models.ForeignKey(
        ArchivedConversation, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="items"
    )
    timeline = models.CharField(max_length=MAX_ID_CHARACTERS)
    position = models.PositiveBigIntegerField()
    response_id = models.CharField(max_length=MAX_ID_CHARACTERS, blank=True, help_text="The one whose output it is.")
    type = models.CharField(max_length=64)
    role = models.CharField(max_length=20, blank=True)
    text = models.TextField(blank=True, help_text="The words said, their beginning when they are very many.")
    forms = models.TextField(blank=True, help_text="Other forms of its words that they are found by.")
    created_at = models.DateTimeField()
    tokens = models.PositiveBigIntegerField(default=0, help_text="An estimate.")
    content_json = models.TextField(help_text="The item as the API shows it.")
    kept_json = models.TextField(blank=True, help_text="What the model's server wants back with it; shown to nobody.")

    class Meta:
        ordering = ("timeline", "position")
        constraints = (models.UniqueConstraint(fields=("timeline", "position"), name="one_archived_item_a_place"),)
        indexes = (models.Index(fields=("owner", "-id"), name="archived_item_by_owner"),)

    @override
    def __str__(self) -> str:
        return self.item_id

    @property
    def content(self) -> dict[str, Any]:
        """The item as the API shows it."""
        return json.loads(self.content_json)  # type: ignore[no-any-return]  # an object


class ArchivePartition(models.Model):
    """Who wrote last of a partition: an archiver with an older epoch has lost its lease, and writes nothing."""

    partition = models.CharField(primary_key=True, max_length=2)
    epoch = models.BigIntegerField(default=0)

    @override
    def __str__(self) -> str:
        return self.partition


class ErasureReceipt(models.Model):
    """What an erasure deleted: counts, never content."""

    owner = models.CharField(max_length=MAX_NAME_CHARACTERS)
    subject_kind = models.CharField(max_length=20, help_text="conversation, chain or owner")
    subject_id = models.CharField(max_length=MAX_NAME_CHARACTERS, db_index=True)
    by = models.CharField(max_length=150, help_text='A member of staff, or "policy", or "api".')
    reason = models.TextField(blank=True)
    at = models.DateTimeField()
    counts = models.JSONField(default=dict, help_text="What was deleted, by its kind.")
    is_complete = models.BooleanField(default=False)

    class Meta:
        ordering = ("-at", "-id")
        indexes = (models.Index(fields=("-at", "-id"), name="erasure_receipt_newest"),)

    @override
    def __str__(self) -> str:
        return f"{self.subject_kind} {self.subject_id}"


class StaffAction(models.Model):
    """That a member of staff looked at something, or changed it."""

    who = models.CharField(max_length=150)
    action = models.CharField(max_length=40)
    subject_kind = models.CharField(max_length=20)
    subject_id = models.CharField(max_length=MAX_NAME_CHARACTERS, db_index=True)
    at = models.DateTimeField()
    detail = models.TextField(blank=True)

    class Meta:
        ordering = ("-at", "-id")
        indexes = (
            models.Index(fields=("-at", "-id"), name="staff_action_newest"),
            models.Index(fields=("who", "-at", "-id"), name="staff_action_by_who"),
        )

    @override
    def __str__(self) -> str:
        return f"{self.who}: {self.action} {self.subject_id}"

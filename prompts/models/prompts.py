"""Prompts and their versions."""

from typing import Any

from django.db import models
from typing_extensions import override


class Prompt(models.Model):
    """A template. What it says is in its versions; `revision` rises with each change of the two."""

    id = models.CharField(primary_key=True, max_length=64, editable=False)
    owner = models.CharField(max_length=100, blank=True, editable=False, help_text="Empty: everybody.")
    name = models.CharField(max_length=200, blank=True)
    default_number = models.PositiveIntegerField(default=1, editable=False)
    latest_number = models.PositiveIntegerField(default=1, editable=False)
    revision = models.PositiveBigIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (models.Index(fields=("owner", "created_at", "id"), name="prompt_by_owner"),)

    @override
    def __str__(self) -> str:
        return self.name or self.id


class PromptVersion(models.Model):
    """One version of a template, as it will always be. `size` is what it counts of what its owner may keep."""

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.JSONField()
    size = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-number",)
        constraints = (models.UniqueConstraint(fields=("prompt", "number"), name="one_version_a_number"),)

    @override
    def __str__(self) -> str:
        return f"{self.prompt} v{self.number}"

    @override
    def save(self, *args: Any, **kwargs: Any) -> None:
        """Make it. Raises TypeError for one that is there: turns and receipts of them name it."""
        if not self._state.adding:
            raise TypeError("A version is never changed. Make the next one.")
        super().save(*args, **kwargs)

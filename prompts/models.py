"""What lives in SQL: the API keys. Never read on the way of a turn."""

from django.core.exceptions import ValidationError
from django.db import models
from typing_extensions import override

from prompts.domain.owners import MAX_OWNER_CHARACTERS, check_project


def _validate_owner(owner: str) -> None:
    """The form's answer to what cannot be an owner."""
    try:
        check_project(owner)
    except ValueError as exc:
        raise ValidationError({"owner": str(exc)}) from exc


class ApiKey(models.Model):
    """A key and the owner whose things it opens; the key itself is shown once and never stored."""

    owner = models.CharField(
        max_length=MAX_OWNER_CHARACTERS,
        help_text="The project whose conversations this key opens.",
    )
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="The key's last four characters.")
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        ordering = ("-created_at",)

    @override
    def __str__(self) -> str:
        return f"{self.owner} ({self.hint})"

    @override
    def clean(self) -> None:
        """Forms call it. Raises ValidationError."""
        _validate_owner(self.owner)

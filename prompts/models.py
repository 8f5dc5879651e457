"""What lives in SQL: the API keys. Never read on the way of a turn."""

from django.db import models
from typing_extensions import override


class ApiKey(models.Model):
    """A key and the owner whose things it opens; the key itself is shown once and never stored."""

    owner = models.CharField(max_length=100, help_text="The project whose conversations this key opens.")
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

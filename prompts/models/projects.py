"""Projects and API keys."""

from django.core.exceptions import ValidationError
from django.db import models
from typing_extensions import override

from prompts.domain.origins import read_origin
from prompts.domain.owners import MAX_OWNER_CHARACTERS, check_project

# Of one project: its own sites. A platform with a site for each customer has a project for each.
MAX_ORIGINS = 100


def _validate_owner(owner: str) -> None:
    """The form's answer to what cannot be an owner."""
    try:
        check_project(owner)
    except ValueError as exc:
        raise ValidationError({"owner": str(exc)}) from exc


class Project(models.Model):
    """What is set for an owner; an owner without a project may have keys all the same."""

    owner = models.CharField(
        max_length=MAX_OWNER_CHARACTERS, unique=True, help_text="The owner of the API keys that this is for."
    )
    allowed_origins = models.TextField(
        blank=True,
        help_text="The sites whose pages may use the project's keys and client secrets in a browser, one a line: "
        "https://app.example.com",
    )

    class Meta:
        ordering = ("owner",)

    @override
    def __str__(self) -> str:
        return self.owner

    @override
    def clean(self) -> None:
        """Forms call it: origins as browsers send them, each once. Raises ValidationError."""
        _validate_owner(self.owner)
        try:
            origins = sorted({read_origin(line) for line in self.list_origins()})
        except ValueError as exc:
            raise ValidationError({"allowed_origins": str(exc)}) from exc
        if len(origins) > MAX_ORIGINS:
            raise ValidationError({"allowed_origins": f"A project has at most {MAX_ORIGINS} origins."})
        self.allowed_origins = "\n".join(origins)

    def list_origins(self) -> list[str]:
        """The lines that are not empty."""
        return [line.strip() for line in self.allowed_origins.splitlines() if line.strip()]


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

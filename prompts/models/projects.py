"""Projects and API keys."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from typing_extensions import override

from prompts.domain.ids import hash_key, hash_narrowed_key
from prompts.domain.origins import read_origin
from prompts.domain.owners import MAX_OWNER_CHARACTERS, check_project
from prompts.domain.scopes import write_scopes
from prompts.ports.project_limits import Limits

# Of one project: its own sites. A platform with a site for each customer has a project for each.
MAX_ORIGINS = 100
# Scripts of Redis count exactly up to 2^53.
MAX_LIMIT = 10**15
# A hundred years: dates stay possible.
MAX_KEEP_DAYS = 36_500


def _validate_owner(owner: str) -> None:
    """The form's answer to what cannot be an owner."""
    try:
        check_project(owner)
    except ValueError as exc:
        raise ValidationError({"owner": str(exc)}) from exc


def _limit(what: str) -> "models.PositiveBigIntegerField[int | None, int | None]":
    """A limit of a project."""
    return models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_LIMIT)],
        help_text=f"{what} Empty: as the server is set; 0: no limit.",
    )


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
    requests_per_minute = _limit("Of the owner, over all replicas.")
    tokens_per_minute = _limit("Of what models are given and say.")
    tokens_per_month = _limit("The same, from the first of a month on (UTC).")
    keep_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_KEEP_DAYS)],
        help_text="Conversations and responses that were not used for so many days are erased everywhere, for good, "
        "archive included; a turn is a use, reading is none. Empty: no such policy.",
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

    @property
    def limits(self) -> Limits:
        """As they are published."""
        return Limits(self.requests_per_minute, self.tokens_per_minute, self.tokens_per_month)

    def list_origins(self) -> list[str]:
        """The lines that are not empty."""
        return [line.strip() for line in self.allowed_origins.splitlines() if line.strip()]


class ApiKey(models.Model):
    """A key and the owner whose things it opens; the key itself is shown once and never stored."""

    owner = models.CharField(
        max_length=MAX_OWNER_CHARACTERS,
        help_text="The project whose conversations this key opens.",
    )
    name = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="For people: what uses the key, or who has it."
    )
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="The key's last four characters.")
    scopes = models.CharField(max_length=40, blank=True, default="", db_default="", help_text="Empty: all of them.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        ordering = ("-created_at",)

    @override
    def __str__(self) -> str:
        return f"{self.owner} ({self.name or self.hint})"

    @override
    def clean(self) -> None:
        """Forms call it. Raises ValidationError."""
        _validate_owner(self.owner)
        try:
            self.scopes = write_scopes(self.scopes.split())
        except ValueError as exc:
            raise ValidationError({"scopes": str(exc)}) from exc
        if self._state.adding and self.has_expired:
            raise ValidationError({"expires_at": "This time is over. Choose one to come, or none."})

    @property
    def is_narrowed(self) -> bool:
        """Whether it opens less than everything, or for a time only: then it is hashed and published in another way."""
        return bool(self.scopes) or self.expires_at is not None

    @property
    def has_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    def take(self, key: str) -> None:
        """Keep of a key what may be kept: its hash and its end. Scopes and expiry have to be set before."""
        self.key_hash = hash_narrowed_key(key) if self.is_narrowed else hash_key(key)
        self.hint = f"…{key[-4:]}"

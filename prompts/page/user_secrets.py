"""A user's client secrets end when the user signs out, is changed, deactivated or deleted: at once, at every replica.

What Django tells of a change has no connection to Redis: the changes of a request are noted, and withdrawn behind it.
Who is deactivated without a request, or while Redis is away, is found by `reconcile_users` within a minute.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast

import structlog
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.core.handlers.asgi import ASGIRequest
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_only_middleware

from prompts.domain.owners import name_user
from prompts.errors import Unavailable

log = structlog.get_logger(__name__)

_changed: ContextVar[set[str] | None] = ContextVar("changed_users", default=None)


@sync_only_middleware
def end_secrets(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Full stack: withdraw the proofs of the users whom a request has changed or signed out."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        changed: set[str] = set()
        token = _changed.set(changed)
        try:
            return get_response(request)
        finally:
            _changed.reset(token)
            if changed:
                _withdraw(request, changed)

    return answer


def _withdraw(request: HttpRequest, owners: set[str]) -> None:
    # This module is imported by every command, and the API's ports take half a second.
    from prompts.api.state import get_state

    try:
        async_to_sync(get_state(cast(ASGIRequest, request).scope).user_proofs.withdraw)(owners)
    except Unavailable:
        log.warning("user_secrets_not_ended", owners=sorted(owners))


@receiver(post_save, sender=User, dispatch_uid="prompts.page.user_saved")
def _note_saved(instance: User, created: bool, update_fields: frozenset[str] | None, **_: Any) -> None:
    if not created and update_fields != frozenset({"last_login"}):  # which signing in writes
        _note(instance)


@receiver(post_delete, sender=User, dispatch_uid="prompts.page.user_deleted")
def _note_deleted(instance: User, **_: Any) -> None:
    _note(instance)


@receiver(user_logged_out, dispatch_uid="prompts.page.user_signed_out")
def _note_signed_out(user: User | None, **_: Any) -> None:
    if user is not None:
        _note(user)


def _note(user: User) -> None:
    changed = _changed.get()
    if changed is not None:
        changed.add(name_user(user.pk))

"""What staff change is published at once, through the process's own connections."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from prompts.api.state import State, get_state
from prompts.errors import Unavailable
from prompts.publishing.api_keys import reconcile
from prompts.publishing.limits import reconcile_limits
from prompts.publishing.origins import reconcile_origins


def publish_keys(request: HttpRequest) -> None:
    """Publish the API keys; a failure is told, and repaired within a minute."""
    _publish(request, lambda state: reconcile(state.api_keys))


def publish_projects(request: HttpRequest) -> None:
    """Likewise the origins that projects allow, and their limits."""
    _publish(request, _publish_projects)


async def _publish_projects(state: State) -> None:
    await reconcile_origins(state.origins)
    await reconcile_limits(state.project_limits)


def _publish(request: HttpRequest, publish: Callable[[State], Coroutine[Any, Any, None]]) -> None:
    try:
        async_to_sync(publish)(get_state(cast(ASGIRequest, request).scope))
    except Unavailable:
        messages.warning(request, "The key store cannot be reached; the change takes effect when it is back.")

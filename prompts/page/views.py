"""The page in which a signed-in user talks, and the client secret with which it then asks the API like any client."""

from typing import cast

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.csrf import csrf_failure
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe

from prompts.api.client_secrets import encode_secret
from prompts.api.controller import json_response
from prompts.api.errors import render_error
from prompts.api.state import State, get_state
from prompts.domain.owners import name_user
from prompts.errors import ForgedRequest, ServiceError, SignedOut
from prompts.page.sign_in import render_sign_in
from prompts.usecases.client_secrets import MadeSecret, make_user_secret

API_PATH = "/v1"


@never_cache
@ensure_csrf_cookie
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The page; whoever is not signed in is asked to."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path(), reverse("sign_in"))
    context = {
        "user_name": request.user.get_full_name() or request.user.get_username(),
        "user_id": request.user.pk,
        "is_staff": request.user.is_staff,
        "api_url": API_PATH,
        "default_model": settings.DEFAULT_MODEL,
        "docs_url": f"{API_PATH}/docs",
        "admin_url": reverse("admin:index"),
        "sign_out_url": reverse("sign_out"),
        "sign_in_url": reverse("sign_in"),
        "client_secret_url": reverse("client_secret"),
    }
    return render(request, "page/index.html", context)


@never_cache
@require_POST
def client_secret(request: HttpRequest) -> HttpResponse:
    """A client secret of the signed-in user, as `POST /v1/client_secrets` shows one; never a redirect."""
    try:
        if not request.user.is_authenticated:
            raise SignedOut
        made = _make_secret(request.user, get_state(cast(ASGIRequest, request).scope))
    except ServiceError as error:
        return render_error(error)
    return json_response(encode_secret(made))


def _make_secret(user: User, state: State) -> MadeSecret:
    owner = name_user(user.pk)
    made: MadeSecret = async_to_sync(make_user_secret)(owner, proofs=state.user_proofs, sealer=state.sealer)
    # A user who is deactivated loses the proof. If that has just happened, this secret has renewed it: withdraw it.
    if not User.objects.filter(pk=user.pk, is_active=True).exists():
        async_to_sync(state.user_proofs.withdraw)([owner])
        raise SignedOut
    return made


def refuse_forgery(request: HttpRequest, reason: str = "") -> HttpResponse:
    """What Django's check against forged requests refuses, each in the words of its place."""
    if request.path.startswith("/page/"):
        return render_error(ForgedRequest())
    if request.path == reverse("sign_in"):
        return render_sign_in(request, problem="stale_form", status=403)
    return csrf_failure(request, reason)

"""Signing in and out. Guesses at passwords are slowed by the authentication backend, as at the admin's own form."""

from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from typing_extensions import override


class SignInForm(AuthenticationForm):
    """A name and a password."""

    error_messages = {
        "invalid_login": "This name and password do not belong together. Capital and small letters count.",
        "inactive": "This name and password do not belong together. Capital and small letters count.",
    }


class SignIn(LoginView):
    """The form; a user who is signed in goes on at once. `next` leads to this server only."""

    authentication_form = SignInForm
    template_name = "page/sign_in.html"
    next_page = "/"
    redirect_authenticated_user = True

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the examples that stand beside the form."""
        return super().get_context_data(**kwargs) | compose_aside(self.request)


class SignOut(LogoutView):
    """POST only: a link of another site signs nobody out."""

    http_method_names = ["post", "options"]
    next_page = "/sign-in/"


def render_sign_in(request: HttpRequest, *, problem: str, status: int, **details: object) -> HttpResponse:
    """The form again, with what went wrong; `problem` is a word of the template, and `details` are what it tells."""
    context = {"form": SignInForm(request), "problem": problem, "next": request.POST.get("next", ""), **details}
    return render(request, "page/sign_in.html", context | compose_aside(request), status=status)


def compose_aside(request: HttpRequest) -> dict[str, str]:
    """What the page tells a developer. It shows no key."""
    return {"api_url": request.build_absolute_uri("/v1"), "model": settings.DEFAULT_MODEL}

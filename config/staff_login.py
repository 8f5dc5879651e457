"""Slows guesses at staff passwords: by name and by address, over all replicas, and without locking staff out.

    a browser that nobody knows      so many attempts a pause for the name, four times as many for the address
    a browser that signed in before  a count of its own, under a signed cookie: what strangers try does not lock it out

An attempt is counted before the password is looked at, so that a hundred attempts at once are a hundred attempts. That
is why this is our own code: django-axes (8.3, read 2026-11) counts in the signal of a failure, after each of the
hundred was tried, and has one limit for names and addresses. A count lives in the cache from its first attempt on for
one pause; no attempt prolongs it. One that signs in takes back itself, and what was counted of its name or browser.
"""

import hashlib
import ipaddress
import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.core.signing import BadSignature
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import sync_only_middleware
from typing_extensions import override

from prompts.page.sign_in import render_sign_in

log = structlog.get_logger(__name__)

COOKIE = "known-browser"
SALT = "config.staff_login"
# Long enough for a colleague who comes back from a holiday.
COOKIE_S = 90 * 24 * 3600
# An office is one address: some mistype, and the others go on.
ATTEMPTS_AN_ADDRESS = 4
# Providers give a customer a whole network of this size.
IPV6_CUSTOMER_BITS = 64


@dataclass(frozen=True, slots=True)
class Count:
    """A count of attempts, and how many there may be."""

    kind: str
    of: str
    limit: int

    @property
    def key(self) -> str:
        """Its place in the cache."""
        return f"sign-in:{self.kind}:{self.of}"

    def is_exceeded(self) -> bool:
        """Count one more attempt."""
        cache.add(self.key, 0, timeout=settings.LOGIN_PAUSE_S)
        try:
            return cache.incr(self.key) > self.limit
        except ValueError:  # its pause ended a moment ago
            cache.set(self.key, 1, timeout=settings.LOGIN_PAUSE_S)
            return self.limit < 1

    def take_back(self) -> None:
        """The attempt was none: of an address others may be guessing, so only this one is not counted."""
        if self.kind != "address":
            cache.delete(self.key)
            return
        with suppress(ValueError):  # its pause is over
            cache.decr(self.key)


class SlowedBackend(ModelBackend):
    """Names and passwords of the database; too many attempts are refused before they are looked at."""

    @override
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Raises PermissionDenied, which Django takes for a wrong password; `staff_login` answers with the reason."""
        if request is not None and username is not None:
            # All are counted, whatever the first one says.
            exceeded = [count.kind for count in _list_counts(request, username) if count.is_exceeded()]
            if exceeded:
                log.warning("sign_in_refused", exceeded=exceeded, address=find_address(request))
                request.exceeded = exceeded  # type: ignore[attr-defined]  # read by `staff_login`
                raise PermissionDenied
        return super().authenticate(request, username, password, **kwargs)


@sync_only_middleware
def staff_login(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Say that attempts are refused for a while; remember a browser that signed in."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if exceeded := getattr(request, "exceeded", None):
            return _refuse(request, exceeded)
        if name := getattr(request, "signed_in_as", None):
            _remember_browser(request, response, name)
        return response

    return answer


@receiver(user_logged_in, dispatch_uid=SALT)
def forget_attempts(request: HttpRequest | None, user: User, **_: Any) -> None:
    """Somebody has signed in."""
    if request is not None:
        name = user.get_username()
        for count in _list_counts(request, name):
            count.take_back()
        request.signed_in_as = name  # type: ignore[attr-defined]  # read by `staff_login`


def find_address(request: HttpRequest) -> str:
    """The client's address, of IPv6 its network; behind a declared proxy, the one that the proxy saw."""
    given = str(request.META.get("REMOTE_ADDR", ""))
    if settings.TRUSTED_PROXY:
        # Our proxy adds the last one. Whatever is before it, the client may have sent.
        given = request.META.get("HTTP_X_FORWARDED_FOR", given).rpartition(",")[2].strip()
    try:
        address = ipaddress.ip_address(given)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address, IPV6_CUSTOMER_BITS), strict=False))


def _list_counts(request: HttpRequest, name: str) -> Iterator[Count]:
    if browser := _find_browser(request, name):
        yield Count("browser", browser, settings.LOGIN_ATTEMPTS)
    else:
        yield Count("name", _hash(name), settings.LOGIN_ATTEMPTS)
        yield Count("address", find_address(request), ATTEMPTS_AN_ADDRESS * settings.LOGIN_ATTEMPTS)


def _find_browser(request: HttpRequest, name: str) -> str | None:
    """The id of a browser in which this name signed in before."""
    try:
        known = request.get_signed_cookie(COOKIE, salt=SALT, max_age=COOKIE_S)
    except (KeyError, BadSignature):
        return None
    browser, _, known_name = (known or "").partition(":")
    return browser if known_name == _hash(name) else None


def _remember_browser(request: HttpRequest, response: HttpResponseBase, name: str) -> None:
    browser = _find_browser(request, name) or secrets.token_urlsafe(16)
    response.set_signed_cookie(
        COOKIE,
        f"{browser}:{_hash(name)}",
        salt=SALT,
        max_age=COOKIE_S,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
        path="/",  # of the page's form and of the admin's
    )


def _hash(name: str) -> str:
    """Whoever attacks chooses a name's characters and its length."""
    return hashlib.sha256(name.encode()).hexdigest()


def _refuse(request: HttpRequest, exceeded: Sequence[str]) -> HttpResponseBase:
    minutes = max(1, math.ceil(settings.LOGIN_PAUSE_S / 60))
    context = {"minutes": minutes, "may_use_known": "browser" not in exceeded}
    response = _render_refusal(request, context)
    response["Retry-After"] = str(round(settings.LOGIN_PAUSE_S))
    response["Cache-Control"] = "no-store"
    return response


def _render_refusal(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    if request.path.startswith(reverse("admin:index")):
        told = admin.site.each_context(request) | context
        return render(request, "sign_in_refused.html", told, status=HTTPStatus.TOO_MANY_REQUESTS)
    return render_sign_in(request, problem="too_many", status=HTTPStatus.TOO_MANY_REQUESTS, **context)

"""Links that sign a user in: once, soon, and made by whoever has a shell at the service (`manage.py sign_in_link`).

A link is signed, so that a nonce in the cache alone signs nobody in; the nonce is what makes it work once.
"""

import secrets
from urllib.parse import urlencode

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.core import signing
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from prompts.page.sign_in import render_sign_in

SALT = "prompts.page.sign_in_links"
# A first start, a coffee, and a look at what the terminal says.
LIFE_S = 15 * 60


def make_path(user: User) -> str:
    """The path and query of a new link for a user. Raises the cache's errors."""
    nonce = secrets.token_urlsafe(16)
    cache.set(_place(nonce), user.pk, timeout=LIFE_S)
    return f"{reverse('sign_in_link')}?{urlencode({'token': signing.dumps([user.pk, nonce], salt=SALT)})}"


@never_cache
@require_GET
def sign_in_link(request: HttpRequest) -> HttpResponse:
    """Sign in and show the page; a link that is used up or too old says what to do."""
    if "prefetch" in request.headers.get("Sec-Purpose", ""):
        return HttpResponse("This link is opened by people.", status=503)  # the browser asks again when one does
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        # Another site could sign a visitor in as somebody else, and read what they then say.
        return render_sign_in(request, problem="led_here", status=403)
    user = _use(request.GET.get("token", ""))
    if user is not None:
        login(request, user)
    elif not request.user.is_authenticated:
        return render_sign_in(request, problem="used_link", status=403, link_minutes=LIFE_S // 60)
    return HttpResponseRedirect("/")


def _use(token: str) -> User | None:
    """Whose link it is. From now on it is used up."""
    try:
        user_id, nonce = signing.loads(token, salt=SALT, max_age=LIFE_S)
    except (signing.BadSignature, ValueError):
        return None
    if not cache.delete(_place(nonce)):
        return None
    return User.objects.filter(pk=user_id, is_active=True).first()


def _place(nonce: str) -> str:
    return f"sign-in-link:{nonce}"

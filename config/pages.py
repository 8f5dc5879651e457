"""The front page: what the service is, and examples that work."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The front page. It shows no key."""
    api_url = request.build_absolute_uri("/v1")
    return render(request, "index.html", {"api_url": api_url, "model": settings.DEFAULT_MODEL})

"""The front page: what this is, and the lines that make it answer."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Served by the full stack; shows no key."""
    api_url = request.build_absolute_uri("/v1")
    return render(request, "index.html", {"api_url": api_url, "model": settings.DEFAULT_MODEL})

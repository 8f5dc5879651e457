"""The dashboard, for the template of the admin's first page: Django's view of that page knows nothing of ours."""

from typing import Any

from django import template
from django.http import HttpRequest

from prompts.admin.dashboard import build_dashboard
from prompts.admin.tokens import list_owners

register = template.Library()


@register.inclusion_tag("admin_pages/dashboard.html", takes_context=True)
def dashboard(context: dict[str, Any]) -> dict[str, Any]:
    """The pictures, for those who may see conversations."""
    request: HttpRequest = context["request"]
    if not request.user.has_perm("prompts.view_archivedconversation"):
        return {}
    return {"dashboard": build_dashboard(request.GET.get("days", "")), "owners": list_owners(request)}

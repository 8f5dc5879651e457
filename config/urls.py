"""Every path of the service. config/asgi.py says which handler serves it."""

from django.contrib import admin
from django.urls import include, path

from prompts.api.urls import pages

admin.site.site_header = "Enhanced Prompt Service"
admin.site.site_title = "Enhanced Prompt Service"
admin.site.index_title = "Operations"

urlpatterns = [
    path("", include("prompts.page.urls")),
    path("", include("health.urls")),
    path("v1/", include("prompts.api.urls")),
    path("", include(pages)),
    path("admin/", admin.site.urls),
]

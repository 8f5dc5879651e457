"""The paths of the probes."""

from django.urls import path

from health import views

urlpatterns = [
    path("healthz", views.healthz),
    path("health", views.health),
    path("readyz", views.readyz),
    path("readyz/<str:check>", views.readyz_check),
]

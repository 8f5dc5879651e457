"""The page for people: `/`, signing in and out, and what the page asks of its own server."""

from django.urls import path

from prompts.page.sign_in import SignIn, SignOut
from prompts.page.sign_in_links import sign_in_link
from prompts.page.views import client_secret, index

urlpatterns = [
    path("", index, name="index"),
    path("sign-in/", SignIn.as_view(), name="sign_in"),
    path("sign-in/link/", sign_in_link, name="sign_in_link"),
    path("sign-out/", SignOut.as_view(), name="sign_out"),
    path("page/client_secret", client_secret, name="client_secret"),
]

"""Staff: who may sign in to the admin, and their browsers."""

import html
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
from django.contrib.admin.utils import quote

from tests.support.servers import eventually
from tests.support.service import manage

PASSWORD = "a password for tests"
LOGIN = "/admin/login/"


def make_staff(environment: Mapping[str, str], name: str) -> str:
    """Create a user who may do everything in the admin; return the name."""
    variables = {**environment, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    manage(variables, "createsuperuser", "--noinput", "--username", name, "--email", f"{name}@example.com")
    return name


async def try_to_sign_in(browser: httpx.AsyncClient, name: str, password: str) -> httpx.Response:
    """Submit the sign-in form; return the page it leads to."""
    if "csrftoken" not in browser.cookies:
        await browser.get(LOGIN)
    fields = {"username": name, "password": password, "next": "/admin/"}
    return await browser.post(LOGIN, data={**fields, "csrfmiddlewaretoken": browser.cookies["csrftoken"]})


@asynccontextmanager
async def open_admin(url: str, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is signed in."""
    async with httpx.AsyncClient(base_url=url, follow_redirects=True, timeout=30) as browser:
        assert "Log out" in (await try_to_sign_in(browser, name, PASSWORD)).text
        yield browser


@asynccontextmanager
async def open_signed_in(url: str, name: str, cookies: dict[str, httpx.Cookies]) -> AsyncIterator[httpx.AsyncClient]:
    """The same; `cookies` remembers who has signed in before, because signing in is slow on purpose."""
    async with httpx.AsyncClient(base_url=url, cookies=cookies.get(name), follow_redirects=True, timeout=30) as browser:
        if "Log out" not in (await browser.get("/admin/")).text:
            assert "Log out" in (await try_to_sign_in(browser, name, PASSWORD)).text
        yield browser
        cookies[name] = browser.cookies


async def wait_archived(browser: httpx.AsyncClient, conversation_id: str, words: str) -> str:
    """Wait until the archive shows these words in a conversation; return the path of its transcript."""
    path = f"/admin/prompts/archivedconversation/{quote(conversation_id)}/change/"

    async def is_there() -> bool:
        return words in html.unescape((await browser.get(path)).text)

    await eventually(is_there)
    return path


async def submit(browser: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Submit a form as a browser does; return the page it leads to."""
    answer = await browser.post(path, data={"csrfmiddlewaretoken": browser.cookies["csrftoken"], **fields})
    assert answer.status_code == 200, answer.text
    return answer


def make_members(environment: Mapping[str, str], **groups: str) -> None:
    """Create staff, each in the group named: `sue="support"`. One hash for all, because it is slow on purpose."""
    program = (
        "from django.contrib.auth.hashers import make_password\n"
        "from django.contrib.auth.models import Group, User\n"
        f"hashed = make_password({PASSWORD!r})\n"
        f"for name, group in {groups!r}.items():\n"
        "    user = User.objects.create(username=name, password=hashed, is_staff=True)\n"
        "    user.groups.add(Group.objects.get(name=group))\n"
    )
    manage(environment, "shell", "--command", program)

"""Two groups of staff are there from the first migration on: `support` reads, `operators` also change."""

import asyncio

import httpx
import pytest

from tests.support.service import Service, manage

LISTS = ("prompt", "project", "apikey")


async def test_support_sees_everything(sue: httpx.AsyncClient) -> None:
    index = (await sue.get("/admin/")).text
    for name in LISTS:
        assert f"/admin/prompts/{name}/" in index
        assert (await sue.get(f"/admin/prompts/{name}/")).status_code == 200


@pytest.mark.parametrize("name", LISTS)
async def test_only_operators_add(sue: httpx.AsyncClient, oscar: httpx.AsyncClient, name: str) -> None:
    path = f"/admin/prompts/{name}/add/"
    assert (await sue.get(path)).status_code == 403
    assert (await oscar.get(path)).status_code == 200


async def test_nobody_of_them_makes_staff(sue: httpx.AsyncClient, oscar: httpx.AsyncClient) -> None:
    for browser in (sue, oscar):
        assert (await browser.get("/admin/auth/user/")).status_code == 403


async def test_migrating_again_changes_nothing(service: Service) -> None:
    program = (
        "from django.contrib.auth.models import Group\n"
        "from django.core.management import call_command\n"
        "def count():\n"
        "    return sorted((group.name, group.permissions.count()) for group in Group.objects.all())\n"
        "before = count()\n"
        "call_command('migrate', verbosity=0)\n"
        "print(before == count(), *(name for name, _ in before))"
    )
    told = await asyncio.to_thread(manage, service.environment, "shell", "--command", program)
    assert "True operators support" in told

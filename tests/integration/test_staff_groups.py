"""Two groups of staff are there from the first migration on: `support` reads, `operators` also change."""

import asyncio
import re

import httpx
import pytest
from django.contrib.admin.utils import quote

from tests.support.service import Service, manage
from tests.support.staff import submit

ADMIN = "/admin/prompts/"
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


async def test_support_changes_nothing(
    service: Service, sue: httpx.AsyncClient, oscar: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    """Whatever a page shows, its forms can be sent by hand."""
    [key] = re.findall(r"eps-[\w-]{43}", (await submit(oscar, f"{ADMIN}apikey/add/", owner="kim")).text)
    await submit(oscar, f"{ADMIN}project/add/", owner="kim", keep_days="7", allowed_origins="")
    prompt = (await http.post("/v1/prompts", json={"prompt": "Kim's"})).json()["id"]
    rows = [
        re.findall(r'name="_selected_action" value="(\d+)"', (await oscar.get(f"{ADMIN}{name}/?q=kim")).text)[0]
        for name in ("apikey", "project")
    ]
    forms = [
        ("apikey/", {"action": "revoke", "_selected_action": rows[0]}),
        ("apikey/", {"action": "revoke", "_selected_action": rows[0], "select_across": "1"}),
        ("apikey/add/", {"owner": "kim"}),
        (f"apikey/{rows[0]}/change/", {"name": "taken"}),
        (f"apikey/{rows[0]}/delete/", {"post": "yes"}),
        ("project/", {"action": "delete_selected", "_selected_action": rows[1], "post": "yes"}),
        (f"project/{rows[1]}/change/", {"owner": "kim", "keep_days": "1", "allowed_origins": ""}),
        (f"project/{rows[1]}/delete/", {"post": "yes"}),
        ("prompt/", {"action": "delete_selected", "_selected_action": prompt, "post": "yes"}),
        (f"prompt/{quote(prompt)}/change/", {"text": "taken"}),
        (f"prompt/{quote(prompt)}/delete/", {"post": "yes"}),
        ("prompt/preview/", {"of": prompt, "text": "taken"}),
    ]
    for path, fields in forms:
        token = {"csrfmiddlewaretoken": sue.cookies["csrftoken"]}
        answer = await sue.post(f"{ADMIN}{path}", data={**token, **fields})
        assert answer.status_code in (200, 403), path
        assert "revoked." not in answer.text, path
        assert "deleted" not in answer.text, path
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers) as client:
        assert (await client.get("/v1/conversations")).status_code == 200
    assert 'value="7"' in (await oscar.get(f"{ADMIN}project/{rows[1]}/change/")).text
    assert (await http.get(f"/v1/prompts/{prompt}")).json()["prompt"] == "Kim's"


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

"""The text that `make run` prints once everything runs: addresses, secrets, and a first request."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.codex import KEY_VARIABLE, compose_arguments, compose_settings
from config.env import find_text
from config.redaction import hide_credentials
from launcher.database_setup import ADMIN
from launcher.launch_plan import OPENAI_URL, STANDIN_MODEL, LaunchPlan


@dataclass(frozen=True)
class Access:
    """How a person on this machine reaches the service."""

    host: str
    port: int
    key: str
    admin_password: str
    sign_in_link: str | None = None
    """Opens the page, signed in as the admin; once."""

    @property
    def url(self) -> str:
        """The address without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def compose_banner(plan: LaunchPlan, access: Access, data_dir: Path, embedded: Mapping[str, str]) -> str:
    """The banner. `embedded` holds the settings of the processes that `make run` started itself."""
    rows = {
        "Open": _describe_page(access),
        "API": f"{access.url}/v1",
        "Docs": f"{access.url}/v1/docs",
        "Admin": f"{access.url}/admin/  {ADMIN} / {access.admin_password}",
        "Key": access.key,
        "Model": _describe_model(plan),
        "State": _describe("REDIS_URL", embedded, "Valkey: "),
        "SQL": _describe("DATABASE_URL", embedded, "SQLite: "),
        "Knowledge": _describe_knowledge(plan, data_dir),
        "Data": f"{data_dir}  (kept for the next start)",
    }
    table = "\n".join(f"  {name:<11}{value}" for name, value in rows.items())
    tries = f"Try it:\n\n{compose_curl(access)}\n\nThe Codex CLI on it:\n\n{compose_codex(plan, access)}"
    return f"\nReady.\n\n{table}\n\n{tries}\n\nCtrl-C stops everything.\n"


def compose_curl(access: Access) -> str:
    """A curl command on one line that streams a first answer."""
    body = json.dumps({"input": "Hello! Who are you?", "stream": True})
    return (
        f"curl -N {access.url}/v1/responses -H 'Authorization: Bearer {access.key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def compose_codex(plan: LaunchPlan, access: Access) -> str:
    """A command on one line that starts Codex here; it leaves Codex's own configuration alone."""
    model = find_text("DEFAULT_MODEL") or (plan.model if plan.has_embedded_model else None)
    settings = compose_settings(f"{access.url}/v1", model)
    return f"{KEY_VARIABLE}={access.key} {shlex.join(['codex', *compose_arguments(settings)])}"


def _describe_page(access: Access) -> str:
    if access.sign_in_link is None:
        return f"{access.url}/"
    return f"{access.sign_in_link}\n{'':<13}the page, signed in as {ADMIN}: opens once, within 15 minutes"


def _describe_model(plan: LaunchPlan) -> str:
    if plan.has_embedded_model and plan.model != STANDIN_MODEL:
        return f"{plan.model}: a small real model on llama.cpp; OPENAI_BASE_URL names another one"
    if plan.has_embedded_model:
        return f"{STANDIN_MODEL}: a small program in place of a model; OPENAI_BASE_URL names a real one"
    url = find_text("OPENAI_BASE_URL") or OPENAI_URL
    return f"{find_text('DEFAULT_MODEL') or 'the default model'} at {hide_credentials(url)} (external)"


def _describe_knowledge(plan: LaunchPlan, data_dir: Path) -> str:
    if plan.has_embedded_weaviate:
        return f"Weaviate: {data_dir / 'weaviate'}"
    if url := find_text("WEAVIATE_URL"):
        return f"Weaviate: {hide_credentials(url)} (external)"
    return f"SQLite full-text search: {data_dir / 'knowledge.sqlite3'}; WEAVIATE=1 starts a Weaviate"


def _describe(name: str, embedded: Mapping[str, str], what_is_ours: str) -> str:
    if name in embedded:
        address = embedded[name].removeprefix("sqlite:///")
        # The password of Valkey is in DATA_DIR, for its own user.
        return what_is_ours + (hide_credentials(address).removeprefix("unix://…@") if "@" in address else address)
    return f"{hide_credentials(find_text(name) or '')} (external)"

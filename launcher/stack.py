"""All processes of `make run`: how each is started, and in which order.

Valkey   ─┐
Weaviate ─┼→ setup (tables, admin, key) → gunicorn → the banner, once /readyz says 200
model    ─┘
"""

import asyncio
import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from config.env import find_text
from launcher.banner import Access, compose_banner
from launcher.child_environments import choose_for_any, choose_for_model, choose_for_service
from launcher.child_process import ProcessSpec
from launcher.console import Console
from launcher.data_dir import DataDir
from launcher.embedded_valkey import prepare_valkey
from launcher.embedded_weaviate import prepare_weaviate
from launcher.launch_plan import LaunchPlan, compose_environment
from launcher.ports import find_free_port, loopback_of
from launcher.readiness import is_http_ready
from launcher.smollm2 import MODEL as SMOLLM2
from launcher.supervisor import Supervisor

PROCESS_NAMES = ["valkey", "weaviate", "model", "setup", "web"]
# Where `setup` leaves the link that signs the admin in.
SIGN_IN_FILE = "sign_in_link"
# A person waits for the stop. An answer that needs longer is finished after the next start.
DEFAULT_DRAIN_S = 5.0
# Time for gunicorn to close connections and workers after the drain; if it needs longer, it is stuck.
MAX_AFTER_DRAIN_S = 20.0


class Stack:
    """The processes of one `make run`. `start` starts them."""

    def __init__(self, plan: LaunchPlan, data: DataDir, host: str, port: int) -> None:
        self._plan = plan
        self._data = data
        self._host = host
        self._port = port
        password = data.keep_secret("valkey_password", secrets.token_urlsafe(32))
        self._embedded_valkey = prepare_valkey(data, password=password, port=find_free_port())
        self._embedded_weaviate = None
        if plan.has_embedded_weaviate:
            key = data.keep_secret("weaviate_key", secrets.token_urlsafe(32))
            self._embedded_weaviate = prepare_weaviate(data, key=key)
        self._model_port = find_free_port()
        self._embedded_settings = compose_environment(
            plan,
            database=data.path / "db.sqlite3",
            valkey_url=self._embedded_valkey.url,
            model_port=self._model_port,
            secret_key=data.keep_secret("secret_key", secrets.token_urlsafe(48)),
            weaviate=self._embedded_weaviate.settings if self._embedded_weaviate else {},
        )
        self._access = Access(
            host=loopback_of(host),
            port=port,
            key=data.keep_secret("api_key", f"eps-{secrets.token_urlsafe(32)}"),
            admin_password=data.keep_secret("admin_password", secrets.token_urlsafe(12)),
        )

    async def start(self, supervisor: Supervisor, console: Console) -> None:
        """Start each process when what it needs is ready, then print the banner."""
        console.say("Starting …")
        if self._embedded_weaviate and not self._embedded_weaviate.has_server():
            console.say("Building Weaviate first: about five minutes, once.")
            building = await supervisor.start(self._embedded_weaviate.compose_build())
            await asyncio.wait({building.exited})
        valkey = await supervisor.start(self._valkey()) if self._plan.has_embedded_valkey else None
        weaviate = None
        if self._embedded_weaviate:
            weaviate = await supervisor.start(self._embedded_weaviate.compose_server())
        model = await supervisor.start(self._model()) if self._plan.has_embedded_model else None
        if valkey:
            await valkey.wait_ready()
        self._data.take(SIGN_IN_FILE)  # of a start that was broken off
        setup = await supervisor.start(self._setup())
        await asyncio.wait({setup.exited})
        sign_in_link = self._data.take(SIGN_IN_FILE)
        if model:
            await model.wait_ready()
        if weaviate:
            await weaviate.wait_ready()
        web = await supervisor.start(self._web())
        await web.wait_ready()
        access = replace(self._access, sign_in_link=sign_in_link)
        console.say(compose_banner(self._plan, access, self._data.path, self._embedded_settings))

    def _valkey(self) -> ProcessSpec:
        return ProcessSpec(
            name="valkey",
            command=self._embedded_valkey.compose_command(),
            environment=choose_for_any(),
            is_ready=self._embedded_valkey.is_ready,
        )

    def _model(self) -> ProcessSpec:
        return self._smollm2() if self._plan.model == SMOLLM2 else self._standin()

    def _smollm2(self) -> ProcessSpec:
        return ProcessSpec(
            name="model",
            command=[sys.executable, "-m", "launcher.smollm2", str(self._model_port)],
            environment=choose_for_model(),
            is_ready=partial(is_http_ready, "127.0.0.1", self._model_port, "/health"),
        )

    def _standin(self) -> ProcessSpec:
        server = ["uvicorn", "standin.app:app", "--port", str(self._model_port), "--log-level", "warning"]
        return ProcessSpec(
            name="model",
            # Without a limit, a stream that was told to stay silent would block the stop for ever.
            command=[sys.executable, "-m", *server, "--timeout-graceful-shutdown", "1"],
            environment=choose_for_model(),
            is_ready=partial(is_http_ready, "127.0.0.1", self._model_port, "/healthz"),
        )

    def _setup(self) -> ProcessSpec:
        setup_secrets = {
            "EPS_ADMIN_PASSWORD": self._access.admin_password,
            "EPS_API_KEY": self._access.key,
            "EPS_SIGN_IN_FILE": str(self._data.path / SIGN_IN_FILE),
            "EPS_URL": self._access.url,
        }
        return ProcessSpec(
            name="setup",
            command=[sys.executable, "-m", "launcher.database_setup"],
            environment={**self._service_environment(), **setup_secrets},
            is_task=True,
        )

    def _web(self) -> ProcessSpec:
        return ProcessSpec(
            name="web",
            command=[sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.py", "config.asgi:application"],
            environment=self._service_environment(),
            is_ready=partial(is_http_ready, self._access.host, self._port, "/readyz"),
            grace_s=2 * float(find_text("DRAIN_S") or DEFAULT_DRAIN_S) + MAX_AFTER_DRAIN_S,
        )

    def _service_environment(self) -> Mapping[str, str]:
        where = {"HOST": self._host, "PORT": str(self._port), "DATA_DIR": str(self._data.path)}
        return {"DRAIN_S": f"{DEFAULT_DRAIN_S:g}", **choose_for_service(), **self._embedded_settings, **where}

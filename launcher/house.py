"""The parts of `make run`, how each is started, and in which order.

Valkey ─┐
        ├→ tables, admin, key → gunicorn → the panel, once /readyz says 200
model  ─┘
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping
from functools import partial

from config.env import find_text
from launcher.console import Console
from launcher.data_dir import DataDir
from launcher.panel import Access, compose_panel
from launcher.parts import Part
from launcher.plan import Plan, compose_environment
from launcher.ports import find_free_port, loopback_of
from launcher.questions import answers_http, answers_ping
from launcher.smollm2 import MODEL as SMOLLM2
from launcher.supervisor import Supervisor
from launcher.valkey import valkey_command

NAMES = ["valkey", "model", "setup", "web"]
# Whoever stops it waits for it; an answer that takes longer goes on at the next start.
DEFAULT_DRAIN_S = 5.0
# After its drain gunicorn closes its own connections and its workers; then it is stuck.
MAX_AFTER_DRAIN_S = 20.0


class House:
    """Everything `make run` is made of; `open` starts it."""

    def __init__(self, plan: Plan, data: DataDir, host: str, port: int) -> None:
        self._plan = plan
        self._data = data
        self._host = host
        self._port = port
        self._valkey_port = find_free_port()
        self._model_port = find_free_port()
        self._own = compose_environment(
            plan,
            database=data.path / "db.sqlite3",
            valkey_port=self._valkey_port,
            model_port=self._model_port,
            secret_key=data.keep_secret("secret_key", secrets.token_urlsafe(48)),
        )
        self._access = Access(
            host=loopback_of(host),
            port=port,
            key=data.keep_secret("api_key", f"eps-{secrets.token_urlsafe(32)}"),
            admin_password=data.keep_secret("admin_password", secrets.token_urlsafe(12)),
        )

    async def open(self, supervisor: Supervisor, console: Console) -> None:
        """Start the parts, each when what it needs is there, and say how to reach them."""
        console.say("Starting …")
        valkey = await supervisor.start(self._valkey()) if self._plan.has_own_valkey else None
        model = await supervisor.start(self._model()) if self._plan.has_own_model else None
        if valkey:
            await valkey.wait_ready()
        setup = await supervisor.start(self._setup())
        await asyncio.wait({setup.exited})
        if model:
            await model.wait_ready()
        web = await supervisor.start(self._web())
        await web.wait_ready()
        console.say(compose_panel(self._plan, self._access, self._data.path, self._own))

    def _valkey(self) -> Part:
        directory = self._data.subdirectory("valkey")
        return Part(
            name="valkey",
            # Its greeting says nothing that the panel does not; warnings and its goodbye are shown.
            command=[*valkey_command(self._valkey_port, directory), "--loglevel", "warning"],
            environment=os.environ,
            is_ready=partial(answers_ping, self._valkey_port),
        )

    def _model(self) -> Part:
        return self._smollm2() if self._plan.model == SMOLLM2 else self._standin()

    def _smollm2(self) -> Part:
        return Part(
            name="model",
            command=[sys.executable, "-m", "launcher.smollm2", str(self._model_port)],
            environment=os.environ,
            is_ready=partial(answers_http, "127.0.0.1", self._model_port, "/health"),
        )

    def _standin(self) -> Part:
        server = ["uvicorn", "standin.app:app", "--port", str(self._model_port), "--log-level", "warning"]
        return Part(
            name="model",
            # A stream that was told to fall silent would hold up the stop for ever.
            command=[sys.executable, "-m", *server, "--timeout-graceful-shutdown", "1"],
            environment=os.environ,
            is_ready=partial(answers_http, "127.0.0.1", self._model_port, "/healthz"),
        )

    def _setup(self) -> Part:
        secrets_of_setup = {"EPS_ADMIN_PASSWORD": self._access.admin_password, "EPS_API_KEY": self._access.key}
        return Part(
            name="setup",
            command=[sys.executable, "-m", "launcher.prepare"],
            environment={**self._environment(), **secrets_of_setup},
            is_task=True,
        )

    def _web(self) -> Part:
        return Part(
            name="web",
            command=[sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.py", "config.asgi:application"],
            environment=self._environment(),
            is_ready=partial(answers_http, self._access.host, self._port, "/readyz"),
            grace_s=2 * float(find_text("DRAIN_S") or DEFAULT_DRAIN_S) + MAX_AFTER_DRAIN_S,
        )

    def _environment(self) -> Mapping[str, str]:
        where = {"HOST": self._host, "PORT": str(self._port), "DATA_DIR": str(self._data.path)}
        return {"DRAIN_S": f"{DEFAULT_DRAIN_S:g}", **os.environ, **self._own, **where}

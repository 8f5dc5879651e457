"""The production server, gunicorn with uvicorn workers: `gunicorn -c config/gunicorn.py config.asgi:application`."""

import gc
import logging
import os
from typing import Any

from gunicorn.glogging import Logger
from typing_extensions import override
from uvicorn_worker import UvicornWorker

from config import env
from config.logs import logging_config
from config.metrics_directory import make_metrics_directory

HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000, minimum=1)
DRAIN_S = env.seconds("DRAIN_S", 30.0)
METRICS_PORT = env.integer("METRICS_PORT", 9090)

# SQLite's and the metrics' files are for the user of the service alone.
os.umask(0o077)

# libuv gives changes of what it waits for to io_uring, where the kernel has it: a few percent of a turn dearer than
# epoll alone. Containers mostly forbid it.
os.environ.setdefault("UV_USE_IO_URING", "0")

# Imports make 170,000 objects that stay. Python would look through them all again and again: a sixth of the start, and
# later about 90 ms in which the event loop stands still. `when_ready` and `post_worker_init` put them aside.
gc.disable()

# Objects before a look at the youngest, looks at these before one at those that have stayed, and of these before one at
# all. What a request makes goes when nobody refers to it any more; Python looks for circles, of which turns leave none.
# A look costs what is alive, not what is lost: with its own numbers (700, 10, 10) it goes through the state of hundreds
# of streams several times a second, a tenth of a busy core. So it looks seldom, and mostly at 100,000 objects or fewer:
# 20 to 30 ms in which the event loop stands still.
LOOKS = (50_000, 1, 200)

# gunicorn reads this file under that name, and imports it once more, by its own, for the worker class.
if METRICS_PORT and __name__ == "__config__":
    make_metrics_directory()


class Worker(UvicornWorker):  # type: ignore[misc]  # uvicorn_worker has no types
    """uvicorn with a required lifespan: without the lifespan no client is open."""

    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": "config.http_protocol:HttpProtocol",  # httptools, with bounds
        "lifespan": "on",
        "access_log": False,  # config/middleware.py logs one line a request, and none for probes
        "server_header": False,
        "ws": "config.websocket_protocol:WebSocketProtocol",  # websockets, with bounds, pings, and no compression
        # uvicorn would believe what any process of this machine says of clients: see TRUSTED_PROXY in the settings.
        "proxy_headers": False,
    }


class StructuredLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Writes gunicorn's and uvicorn's lines in our log format. By default they have a handler of their own."""

    @override
    def setup(self, cfg: Any) -> None:
        """gunicorn's worker passes these handlers on to uvicorn."""
        super().setup(cfg)
        self.error_log.handlers = list(logging.getLogger().handlers)


logger_class = StructuredLogger
bind = f"{HOST}:{PORT}"
workers = env.integer("WORKERS", 2, minimum=1)
worker_class = "config.gunicorn.Worker"
# The workers share code that was imported once: a faster start, and half the memory.
preload_app = True
control_socket_disable = True  # gunicornc's socket is in the home directory, which a container may not have
# A worker without a heartbeat for this long is stuck: its event loop answers within milliseconds.
timeout = 30
# For DRAIN_S answers end here; for as long again handed-over answers are followed; then everything is closed.
graceful_timeout = 2 * int(DRAIN_S) + 10
# Longer than a load balancer keeps idle connections (AWS ALB 60 s), so that we never close first.
keepalive = 75
logconfig_dict = logging_config(
    env.choice("LOG_FORMAT", "json", ("json", "console")),
    env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
)


def when_ready(server: Any) -> None:
    """The master is about to start its workers, which share the memory of what it has imported."""
    gc.collect()  # classes that were made twice, and the like: nearly 1 MB, which each worker fills again at its start
    gc.freeze()
    server.metrics = None
    if METRICS_PORT:
        # Here, because prometheus_client must not be imported before the directory is made.
        from config.metrics_server import MetricsServer

        server.metrics = MetricsServer()
        server.metrics.start(HOST, METRICS_PORT)


def post_fork(server: Any, _worker: Any) -> None:
    """A worker begins."""
    if server.metrics is not None:
        server.metrics.leave_to_master()


def post_worker_init(_worker: Any) -> None:
    """A worker is about to serve: from here on only what requests make is looked through."""
    gc.freeze()
    gc.set_threshold(*LOOKS)
    gc.enable()


def child_exit(server: Any, worker: Any) -> None:
    """The master has noticed that a worker ended."""
    if server.metrics is not None:
        server.metrics.forget_worker(worker.pid)


def on_exit(server: Any) -> None:
    """The master ends; its workers have ended."""
    if server.metrics is not None:
        server.metrics.stop()

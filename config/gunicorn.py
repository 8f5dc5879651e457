"""The production server: gunicorn with uvicorn workers. `gunicorn -c config/gunicorn.py config.asgi:application`."""

import logging
from typing import Any

from gunicorn.glogging import Logger
from typing_extensions import override
from uvicorn_worker import UvicornWorker

from config import env
from config.logs import logging_config

HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000, minimum=1)
DRAIN_S = env.seconds("DRAIN_S", 30.0)


class Worker(UvicornWorker):  # type: ignore[misc]  # uvicorn_worker has no types
    """uvicorn with the lifespan required: without it nothing is connected."""

    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": "httptools",
        "lifespan": "on",
        "access_log": False,  # config/middleware.py writes one line a request, and none for probes
        "server_header": False,
        "ws": "none",
    }


class StructuredLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's and uvicorn's own lines in the format of all others; by default they bring a handler of their own."""

    @override
    def setup(self, cfg: Any) -> None:
        """The worker hands these handlers on to uvicorn."""
        super().setup(cfg)
        self.error_log.handlers = list(logging.getLogger().handlers)


logger_class = StructuredLogger
bind = f"{HOST}:{PORT}"
workers = env.integer("WORKERS", 2, minimum=1)
worker_class = "config.gunicorn.Worker"
# The code is imported once and shared by the workers: a faster start, and half the memory.
preload_app = True
control_socket_disable = True  # gunicornc's socket would lie in the home directory, which a container may not have
# A worker that answers no heartbeat for this long is stuck; the event loop answers within milliseconds.
timeout = 30
# Answers end here for DRAIN_S, those that were handed over are followed for as long again; closing takes a moment more.
graceful_timeout = 2 * int(DRAIN_S) + 10
# Longer than the idle time of a load balancer's connections (AWS ALB 60 s), so that it is never we who close first.
keepalive = 75
logconfig_dict = logging_config(
    env.choice("LOG_FORMAT", "json", ("json", "console")),
    env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
)

"""The metrics of a whole replica, served by gunicorn's master on a port of its own.

Workers write their metrics to the files of a directory. The master adds the files up when it is asked, in a thread: the
event loops of the workers have no part in it.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import CollectorRegistry, Metric, make_wsgi_app, start_http_server
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from config.metrics_directory import VARIABLE
from config.response_headers import API_HEADERS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger(__name__)

# What outlives a worker; its gauges end with it.
KEPT_KINDS = ("counter", "histogram")


class MetricsServer:
    """Adds up the metrics of the workers, those of ended ones included, and serves them."""

    def __init__(self) -> None:
        self._directory = Path(os.environ[VARIABLE])
        self._server: WSGIServer | None = None
        # Held while files are read or removed, and over a fork: a child must not get the locks of a thread that reads.
        self._reading = Lock()

    def start(self, host: str, port: int) -> None:
        """Serve from now on. When the port cannot be had, say so in the log: the service runs all the same."""
        registry = CollectorRegistry()
        registry.register(_LockedCollector(MultiProcessCollector(None, str(self._directory)), self._reading))
        try:
            self._server, _ = start_http_server(port, host, registry)
            self._server.set_app(_with_headers(make_wsgi_app(registry)))
        except (OSError, OverflowError) as error:
            log.warning("metrics_not_served", host=host, port=port, reason=str(error), hint="Set another METRICS_PORT.")
            return
        os.register_at_fork(
            before=self._reading.acquire, after_in_parent=self._reading.release, after_in_child=self._reading.release
        )
        log.info("metrics_served", host=host, port=port)

    def leave_to_master(self) -> None:
        """In a worker: close the inherited socket, or the port stayed taken for as long as the worker lives."""
        if self._server is not None:
            self._server.socket.close()

    def forget_worker(self, pid: int) -> None:
        """A worker has ended: its gauges go, its counts join those of all ended workers."""
        try:
            with self._reading:
                mark_process_dead(pid, str(self._directory))
                for kind in KEPT_KINDS:
                    self._add_up(self._directory / f"{kind}_{pid}.db", self._directory / f"{kind}_ended.db")
        except Exception:
            log.exception("worker_metrics_lost", pid=pid)  # raised, it would end the master and all its workers

    def stop(self) -> None:
        """Stop serving and remove the directory; the workers have ended."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _add_up(self, ended: Path, total: Path) -> None:
        """Move the counts of a file to another, or every worker there ever was had to be read at each scrape."""
        if not ended.exists():  # it ended before it counted anything
            return
        try:
            with closing(MmapedDict(str(total))) as counts:
                for key, value, _, _ in MmapedDict.read_all_values_from_file(str(ended)):
                    counts.write_value(key, counts.read_value(key)[0] + value, 0.0)
        finally:
            ended.unlink()  # what cannot be read would fail every scrape; what was added would count twice


def _with_headers(app: "WSGIApplication") -> "WSGIApplication":
    """The application; its answers have the headers of all our answers."""

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        def start_with(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            return start(status, [*headers, *((name.decode(), value.decode()) for name, value in API_HEADERS)], *rest)

        return app(environ, start_with)

    return answer


class _LockedCollector(Collector):
    """Collects while it holds a lock."""

    def __init__(self, collector: MultiProcessCollector, lock: Lock) -> None:
        self._collector = collector
        self._lock = lock

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            return list(self._collector.collect())

"""A chaos experiment: the cluster, the balancer before it, its clients' connections, and the results."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import httpx
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from tests.chaos.clients import SILENCE_S, Client
from tests.chaos.cluster import Cluster
from tests.chaos.results import Results
from tests.support.balancer import Balancer
from tests.support.servers import Replica, eventually

# A replica needs about 1.5 s of CPU to start; all may start at once on a busy machine.
MAX_READY_S = 60
# The stand-in waits 20 s at most for its calls to end.
MAX_MODEL_S = 30
# The model's pace: at this pace a dozen answers leave half of two cores to starting replicas.
TOKEN_S = 0.03
# Two for each client: its stream, and its other requests. No scenario needs more.
CONNECTIONS = httpx.Limits(max_connections=400, max_keepalive_connections=50)


@dataclass
class Experiment:
    """One experiment on a cluster."""

    cluster: Cluster
    balancer: Balancer
    http: httpx.AsyncClient
    redis: Redis
    results: Results = field(default_factory=Results)
    random: Random = field(default_factory=Random)

    def client(self, *, silence_s: float = SILENCE_S) -> Client:
        """Another client."""
        return Client(self.http, self.results, silence_s=silence_s)

    def compose_question(self, words: int, *, token_s: float = TOKEN_S) -> str:
        """A new question. The answer has `words` words, all different."""
        return f"Question {next(self.cluster.numbers)}: count to {words} [[standin token_s={token_s:g}]]"

    def compose_search(self, *, token_s: float = TOKEN_S) -> str:
        """A new question to files; where a model has the tool, it searches for it."""
        number = next(self.cluster.numbers)
        return f"Use file_search: What is in the depot at Tromsø? No. {number} [[standin token_s={token_s:g}]]"

    def compose_remark(self) -> str:
        """A new remark. The answer is the number of messages so far, so it shows whether the history is complete."""
        return f"This is remark {next(self.cluster.numbers)} [[standin token_s={TOKEN_S:g}]]"

    def open_replica(self, replica: Replica) -> httpx.AsyncClient:
        """Connections to this replica only."""
        return _open_http(replica.url, self.http.headers)

    def open_model(self) -> httpx.AsyncClient:
        """Connections to the stand-in's control endpoints."""
        return httpx.AsyncClient(base_url=self.cluster.standin.url, timeout=MAX_MODEL_S, verify=False)

    async def restart_stopped(self) -> None:
        """Start the replicas that are down, and wait until all are ready."""
        stopped = [replica for replica in self.cluster.replicas if not replica.is_running]
        await asyncio.gather(*(asyncio.to_thread(replica.start) for replica in stopped))
        await self.wait_ready(*self.cluster.replicas)

    async def wait_ready(self, *replicas: Replica) -> None:
        """Wait until the balancer sends connections to these replicas."""
        ports = {replica.port for replica in replicas}
        await eventually(lambda: ports <= self.balancer.ready, within_s=MAX_READY_S)


@asynccontextmanager
async def open_experiment(cluster: Cluster, *, api_key: str, seed: int | None = None) -> AsyncIterator[Experiment]:
    """Everything up and ready; at the end all connections are closed, and the cluster stays."""
    headers = {"Authorization": f"Bearer {api_key}"}
    async with (
        Balancer(cluster.list_ports) as balancer,
        _open_http(balancer.url, headers) as http,
        Redis.from_url(cluster.valkey.url, retry=Retry(ConstantBackoff(0.2), 25)) as redis,
    ):
        experiment = Experiment(cluster, balancer, http, redis, random=Random(seed))
        await experiment.restart_stopped()
        cluster.skip_logs_so_far()
        yield experiment


def _open_http(url: str, headers: "httpx.Headers | dict[str, str]") -> httpx.AsyncClient:
    # `verify=True` would load certificates for 30 ms a client, and everything here is plain HTTP.
    return httpx.AsyncClient(base_url=url, headers=headers, limits=CONNECTIONS, timeout=SILENCE_S, verify=False)

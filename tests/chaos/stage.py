"""What a scenario plays on: the house, the balancer before it, its clients' connections, and the ledger."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import httpx
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from tests.chaos.balancer import Balancer
from tests.chaos.clients import SILENCE_S, Client
from tests.chaos.house import House
from tests.chaos.ledger import Ledger
from tests.support.servers import Replica, eventually

# A replica needs about 1.5 s of CPU to start, and all of them start at once on a busy machine.
MAX_READY_S = 60
# It waits 20 s at most for its calls to end.
MAX_MODEL_S = 30
# How fast the model writes: some dozen answers at once leave half of two cores to those that start.
TOKEN_S = 0.03
# One a client's open stream and one for what it asks beside it; more than any scenario has.
CONNECTIONS = httpx.Limits(max_connections=400, max_keepalive_connections=50)


@dataclass
class Stage:
    """One stretch of chaos on a house."""

    house: House
    balancer: Balancer
    http: httpx.AsyncClient
    redis: Redis
    ledger: Ledger = field(default_factory=Ledger)
    chance: Random = field(default_factory=Random)

    def client(self, *, silence_s: float = SILENCE_S) -> Client:
        """One more person."""
        return Client(self.http, self.ledger, silence_s=silence_s)

    def question(self, words: int, *, token_s: float = TOKEN_S) -> str:
        """One that nobody has asked before; the answer has so many words, each another one."""
        return f"Question {next(self.house.numbers)}: count to {words} [[standin token_s={token_s:g}]]"

    def remark(self) -> str:
        """What is answered with the number of messages so far: whoever goes on with it must know the same history."""
        return f"This is remark {next(self.house.numbers)} [[standin token_s={TOKEN_S:g}]]"

    def open_replica(self, replica: Replica) -> httpx.AsyncClient:
        """Connections that go to this replica and no other."""
        return _open_http(replica.url, self.http.headers)

    def open_model(self) -> httpx.AsyncClient:
        """For what the stand-in tells of its calls."""
        return httpx.AsyncClient(base_url=self.house.standin.url, timeout=MAX_MODEL_S, verify=False)

    async def mend(self) -> None:
        """Start what does not run, and wait until all of it is ready."""
        stopped = [replica for replica in self.house.replicas if not replica.is_running]
        await asyncio.gather(*(asyncio.to_thread(replica.start) for replica in stopped))
        await self.see_ready(*self.house.replicas)

    async def see_ready(self, *replicas: Replica) -> None:
        """Until the balancer sends connections to these."""
        ports = {replica.port for replica in replicas}
        await eventually(lambda: ports <= self.balancer.ready, within_s=MAX_READY_S)


@asynccontextmanager
async def open_stage(house: House, *, api_key: str, seed: int | None = None) -> AsyncIterator[Stage]:
    """Everything up and ready; at the end all connections are closed, and the house stays."""
    headers = {"Authorization": f"Bearer {api_key}"}
    async with (
        Balancer(house.list_ports) as balancer,
        _open_http(balancer.url, headers) as http,
        Redis.from_url(house.valkey.url, retry=Retry(ConstantBackoff(0.2), 25)) as redis,
    ):
        stage = Stage(house, balancer, http, redis, chance=Random(seed))
        await stage.mend()
        house.turn_page()
        yield stage


def _open_http(url: str, headers: "httpx.Headers | dict[str, str]") -> httpx.AsyncClient:
    # Without `verify` each client would load certificates for 30 ms, and all is plain HTTP here.
    return httpx.AsyncClient(base_url=url, headers=headers, limits=CONNECTIONS, timeout=SILENCE_S, verify=False)

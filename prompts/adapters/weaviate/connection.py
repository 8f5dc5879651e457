"""The connection to Weaviate: opened by whoever needs it first, and healed without restarting anything."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import httpx
from weaviate import WeaviateAsyncClient
from weaviate.classes.init import AdditionalConfig, Auth
from weaviate.config import GrpcConfig
from weaviate.connect import ConnectionParams
from weaviate.exceptions import WeaviateBaseError, WeaviateConnectionError, WeaviateStartUpError, WeaviateTimeoutError

from prompts.ports.observer import UNOBSERVED, KnowledgeFailed, Observer

# Connecting is one GET; whoever needs the connection is in a turn and has the model to ask yet.
MAX_CONNECT_S = 2.0
# Building a client reads the certificate store, 20-80 ms of a blocked loop: not for every turn of an outage.
RETRY_PAUSE_S = 1.0
GRPC_OPTIONS: Sequence[tuple[str, int]] = (
    # The defaults let the pause between attempts grow to 120 s, and an attempt last 20 s: searches would go on
    # failing for that long after Weaviate is back and says it is ready.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.min_reconnect_backoff_ms", 2000),
    # gRPC would take HTTP_PROXY for itself, while the REST side ignores it.
    ("grpc.enable_http_proxy", 0),
)
GRPC_HEALTH = "/grpc.health.v1.Health/Check"
# HealthCheckResponse with its one field, status, at SERVING: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
SERVING = b"\x08\x01"


class WeaviateNotReadyError(Exception):
    """Weaviate answers, and does not serve: not yet, or not us."""


class WeaviateConnection:
    """One client a process. Nothing is opened before it is needed; `close` ends it.

    `ConnectionError` means that Weaviate cannot be reached, `TimeoutError` that it does not answer, and
    `WeaviateNotReadyError` that it answers and refuses.
    """

    def __init__(
        self, url: str, *, grpc_port: int, api_key: str | None = None, observer: Observer = UNOBSERVED
    ) -> None:
        """`url` is the REST endpoint; gRPC is expected on the same host, and with TLS when the URL is https."""
        self._url = url
        self._parameters = ConnectionParams.from_url(url, grpc_port)
        self._api_key = api_key
        self._observer = observer
        self._client: WeaviateAsyncClient | None = None
        self._connecting: asyncio.Task[WeaviateAsyncClient] | None = None
        self._failed_at = -RETRY_PAUSE_S
        self._probe: _Probe | None = None
        self._is_closed = False

    async def client(self) -> WeaviateAsyncClient:
        """The connected client, which survives restarts of Weaviate, or an error of the three above.

        Its calls retry for over a minute when Weaviate is away: bound each with `asyncio.timeout`.
        """
        if self._client is not None:
            return self._client
        if self._connecting is None:
            if self._is_closed or time.monotonic() - self._failed_at < RETRY_PAUSE_S:
                raise ConnectionError("Weaviate is closed or was unreachable a moment ago")
            self._connecting = asyncio.create_task(self._connect(), name="connect to Weaviate")
            self._connecting.add_done_callback(self._finish_connecting)
        # Shielded: one caller's timeout must not end the attempt of the others.
        return await asyncio.shield(self._connecting)

    async def check_ready(self) -> None:
        """Return when REST and gRPC both say ready; else an error of the three above."""
        with self._reported_errors():
            await self.client()
            if self._probe is None:
                self._probe = _Probe(self._url, self._parameters)
            await self._probe.check()

    async def close(self) -> None:
        """Close every connection; afterwards `client` raises."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
        if self._client is not None:
            await self._client.close()
            self._client = None
        if self._probe is not None:
            await self._probe.close()
            self._probe = None

    @contextmanager
    def _reported_errors(self) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, asyncio.CancelledError):  # whoever asks has a time limit of their own
            self._observer.notice(KnowledgeFailed("timeout"))
            raise
        except ConnectionError:
            self._observer.notice(KnowledgeFailed("unreachable"))
            raise
        except WeaviateNotReadyError:
            self._observer.notice(KnowledgeFailed("refused"))
            raise

    async def _connect(self) -> WeaviateAsyncClient:
        client = self._build_client()
        try:
            async with asyncio.timeout(MAX_CONNECT_S):
                await client.connect()
        except (WeaviateTimeoutError, httpx.TimeoutException) as exc:
            raise TimeoutError("Weaviate does not answer") from exc
        except (WeaviateConnectionError, WeaviateStartUpError, httpx.TransportError) as exc:
            raise ConnectionError("Weaviate cannot be reached") from exc
        except WeaviateBaseError as exc:
            raise WeaviateNotReadyError("Weaviate does not take this client; is WEAVIATE_API_KEY right?") from exc
        else:
            self._client = client
            return client
        finally:
            # A client that failed half-way holds an open session.
            if self._client is not client:
                await client.close()

    def _build_client(self) -> WeaviateAsyncClient:
        return WeaviateAsyncClient(
            connection_params=self._parameters,
            auth_client_secret=Auth.api_key(self._api_key) if self._api_key else None,
            additional_config=AdditionalConfig(grpc_config=GrpcConfig(channel_options=GRPC_OPTIONS)),
            # Among the checks is a call to PyPI for the newest version of the client.
            skip_init_checks=True,
        )

    def _finish_connecting(self, task: asyncio.Task[WeaviateAsyncClient]) -> None:
        self._connecting = None
        # Asked for the exception even if every caller has left, or asyncio reports that nobody retrieved it.
        if task.cancelled() or task.exception() is not None:
            self._failed_at = time.monotonic()


class _Probe:
    """Asks Weaviate's two endpoints whether they serve. Its own connections: the client's `is_ready` prints errors."""

    def __init__(self, url: str, parameters: ConnectionParams) -> None:
        is_tls = urlsplit(url).scheme == "https"
        # Weaviate's client ignores proxies of the environment, and so must its probe.
        self._rest = httpx.AsyncClient(base_url=url, verify=is_tls, trust_env=False, timeout=MAX_CONNECT_S)
        target = f"{parameters.grpc.host}:{parameters.grpc.port}"
        self._channel = (
            grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=GRPC_OPTIONS)
            if is_tls
            else grpc.aio.insecure_channel(target, options=GRPC_OPTIONS)
        )
        self._ask_grpc = self._channel.unary_unary(GRPC_HEALTH)

    async def check(self) -> None:
        """Return when both serve, or raise what `WeaviateConnection` says."""
        try:
            ready = await self._rest.get("/v1/.well-known/ready")
            health = await self._ask_grpc(b"", timeout=MAX_CONNECT_S)
        except httpx.TimeoutException as exc:
            raise TimeoutError("Weaviate does not answer") from exc
        except (httpx.TransportError, grpc.aio.AioRpcError) as exc:
            raise ConnectionError("Weaviate cannot be reached") from exc
        if ready.status_code != httpx.codes.OK or health != SERVING:
            raise WeaviateNotReadyError("Weaviate is not ready")

    async def close(self) -> None:
        """Close both connections."""
        await self._rest.aclose()
        await self._channel.close()

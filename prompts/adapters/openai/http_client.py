"""The HTTP client for a model's server, which is not trusted: what it sends is bounded, and it sends us nowhere."""

from collections.abc import Callable, Mapping, MutableMapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import aiohttp
import httpx2
from openai import AsyncOpenAI, AsyncStream, DefaultAioHttpClient
from typing_extensions import override
from yarl import URL

from prompts.adapters.openai.bodies import open_body
from prompts.errors import UpstreamError

# Of an error: enough for any that is meant to be read.
MAX_ERROR_BYTES = 64 * 1024
# Of an answer that is no stream: a list of models.
MAX_WHOLE_BYTES = 16 * 1024 * 1024
# What is not true of a body any more that was read and inflated.
ENCODED_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}


NameTrace = Callable[[MutableMapping[str, str]], None]
"""Names the trace at hand in a request's headers, so that the other server may go on with it."""


@dataclass(frozen=True, slots=True)
class Line:
    """Where requests to one address go: the session of the library below, and its arguments for a proxy."""

    session: aiohttp.ClientSession
    proxy: Mapping[str, Any]


class ModelServerClient(DefaultAioHttpClient):
    """The official client's own HTTP client, with bounds.

    Redirections are not followed: they would take a conversation to a stranger, and the stranger's word for the answer.
    Compression is not asked for: it holds tokens up, and a small body may become a large one. Cookies are not kept: one
    client's request must not carry what another one's answer has brought, and a jar has no end.
    """

    def __init__(self, *, name_trace: NameTrace | None = None, **arguments: Any) -> None:
        """`arguments`: those of `httpx2.AsyncClient`."""
        headers = {"accept-encoding": "identity", **arguments.pop("headers", {})}
        super().__init__(**{**arguments, "follow_redirects": False, "headers": headers})
        self.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._name_trace = name_trace

    @override
    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """The response; of an error, or where no stream is wanted, only the beginning of its body."""
        if self._name_trace is not None:
            self._name_trace(request.headers)
        response = await super().send(request, stream=True, **{**options, "follow_redirects": False})
        if stream and response.is_success:
            return response
        try:
            return await _cut(response, MAX_WHOLE_BYTES if response.is_success else MAX_ERROR_BYTES)
        finally:
            await response.aclose()

    def open_line(self, url: httpx2.URL) -> Line:
        """What `send` would send a request to this address with; this client closes it."""
        transport: Any = self._transport_for_url(url)
        if not isinstance(transport.client, aiohttp.ClientSession):
            transport.client = transport.get_client()
        proxy = transport.proxy
        if proxy is None:
            return Line(transport.client, {})
        address = URL(str(proxy.url))
        if proxy.auth is not None:
            address = address.with_user(proxy.auth[0]).with_password(proxy.auth[1])
        return Line(transport.client, {"proxy": address, "proxy_headers": proxy.headers})

    def list_trace_headers(self) -> Mapping[str, str] | None:
        """What names the trace at hand; None where there are no traces."""
        if self._name_trace is None:
            return None
        headers: dict[str, str] = {}
        self._name_trace(headers)
        return headers

    @override
    def _init_transport(self, *arguments: Any, **named: Any) -> httpx2.AsyncBaseTransport:
        return _without_cookies(super()._init_transport(*arguments, **named))

    @override
    def _init_proxy_transport(self, *arguments: Any, **named: Any) -> httpx2.AsyncBaseTransport:
        return _without_cookies(super()._init_proxy_transport(*arguments, **named))


def _without_cookies(transport: Any) -> httpx2.AsyncBaseTransport:
    """The same; the library below takes no policy, so its sessions get a jar that keeps nothing."""
    transport.client = partial(_open_session, transport)
    return transport  # type: ignore[no-any-return]  # of a package that the official client hides


def _open_session(transport: Any) -> aiohttp.ClientSession:
    """What the transport would open by itself, but for the cookies."""
    connector = aiohttp.TCPConnector(
        limit=transport.limits.max_connections,
        keepalive_timeout=transport.limits.keepalive_expiry,
        ssl=transport.ssl_context,
    )
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)


async def _cut(response: httpx2.Response, max_bytes: int) -> httpx2.Response:
    """The same with the first bytes of its body, as they are when inflated; as many as can be."""
    body = bytearray()
    with suppress(UpstreamError):
        async with aclosing(open_body(response)) as parts:
            async for data in parts:
                body += data[: max_bytes - len(body)]
                if len(body) == max_bytes:
                    break
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in ENCODED_HEADERS]
    return httpx2.Response(
        response.status_code,
        headers=headers,
        content=bytes(body),
        request=response.request,
        extensions=response.extensions,
    )


async def post(
    client: AsyncOpenAI, path: str, *, limits: httpx2.Timeout, body: Any = None, content: bytes | None = None
) -> httpx2.Response:
    """Send a JSON request, and open the answer, of which only the head is here; the caller closes it.

    `body` is yet to be written as JSON, `content` is JSON already. Raises what the official client raises.
    """
    headers = {} if content is None else {"Content-Type": "application/json"}
    return await client.post(
        path,
        cast_to=httpx2.Response,
        body=body,
        content=content,
        # A redirection would take the request, and the word for the answer, to whoever it names.
        options={"timeout": limits, "follow_redirects": False, "headers": headers},
        stream=True,
        stream_cls=AsyncStream[Any],
    )  # type: ignore[return-value]  # with cast_to a Response, the client hands out the raw one

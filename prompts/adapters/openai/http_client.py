"""The HTTP client for a model's server, which is not trusted: what it sends is bounded, and it sends us nowhere."""

from contextlib import aclosing, suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import aiohttp
import httpx2
from openai import AsyncOpenAI, AsyncStream, DefaultAioHttpClient
from typing_extensions import override

from prompts.adapters.openai.bodies import open_body
from prompts.errors import UpstreamError

# Of an error: enough for any that is meant to be read.
MAX_ERROR_BYTES = 64 * 1024
# Of an answer that is no stream: a list of models.
MAX_WHOLE_BYTES = 16 * 1024 * 1024
_ENCODED_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}


class ModelServerClient(DefaultAioHttpClient):
    """The official client's own HTTP client, with bounds.

    Redirections are not followed: they would take a conversation to a stranger, and the stranger's word for the answer.
    Compression is not asked for: it holds tokens up, and a small body may become a large one. Cookies are not kept: one
    client's request must not carry what another one's answer has brought, and a jar has no end.
    """

    def __init__(self, **arguments: Any) -> None:
        """`arguments`: those of `httpx2.AsyncClient`."""
        headers = {"accept-encoding": "identity", **arguments.pop("headers", {})}
        super().__init__(**{**arguments, "follow_redirects": False, "headers": headers})
        self.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))

    @override
    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """The response; of an error, or where no stream is wanted, only the beginning of its body."""
        self._forget_cookies()
        response = await super().send(request, stream=True, **{**options, "follow_redirects": False})
        if stream and response.is_success:
            return response
        try:
            return await _cut(response, MAX_WHOLE_BYTES if response.is_success else MAX_ERROR_BYTES)
        finally:
            await response.aclose()

    def _forget_cookies(self) -> None:
        """Empty the jar of the library below, which takes no policy."""
        for transport in (self._transport, *self._mounts.values()):
            session = getattr(transport, "client", None)
            if isinstance(session, aiohttp.ClientSession):
                session.cookie_jar.clear()


async def _cut(response: httpx2.Response, max_bytes: int) -> httpx2.Response:
    """The same with the first bytes of its body, as they are when inflated; as many as can be."""
    body = bytearray()
    with suppress(UpstreamError):
        async with aclosing(open_body(response)) as parts:
            async for data in parts:
                body += data[: max_bytes - len(body)]
                if len(body) == max_bytes:
                    break
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in _ENCODED_HEADERS]
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

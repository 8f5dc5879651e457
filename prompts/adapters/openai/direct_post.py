"""Requests for streams, as the official client would send them, but straight through the HTTP library below it.

The client makes everything anew for each request, checks and copies it: options, headers, a URL, a request and a
response of httpx2. That is a good part of what a turn costs. What a request is made of (address, key, organisation,
headers, proxies, certificates) is still the client's own, asked once.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import aiohttp
import httpx2
import msgspec
import openai
from multidict import CIMultiDict
from openai import AsyncOpenAI
from yarl import URL

from prompts.adapters.openai.bodies import StreamBody, open_stream
from prompts.adapters.openai.http_client import ENCODED_HEADERS, MAX_ERROR_BYTES, Line, ModelServerClient
from prompts.alarms import NEVER
from prompts.errors import UpstreamError

_SUCCESSES = range(HTTPStatus.OK, HTTPStatus.MULTIPLE_CHOICES)
_encode = msgspec.json.Encoder().encode


class DirectPost:
    """Sends JSON to one path of the model's server; the client is closed by whoever made it."""

    def __init__(self, client: AsyncOpenAI, path: str, *, connect_s: float) -> None:
        """The client's HTTP client is a `ModelServerClient`."""
        http_client = client._client  # noqa: SLF001 -- what it was made with; it has no other name
        assert isinstance(http_client, ModelServerClient)
        self._http_client = http_client
        base = client.base_url
        self._url = base.copy_with(raw_path=base.raw_path + path.lstrip("/").encode())
        self._headers = _compose_headers(client, http_client)
        # Time limits for tokens are not its: it would set a timer with each read.
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s)
        self._target = URL(str(self._url))
        self._line: Line | None = None

    async def open(self, body: Mapping[str, Any]) -> StreamBody:
        """The answer's body, to be closed.

        Raises APIStatusError for an error status, as the official client does, and aiohttp's errors, and UpstreamError.
        """
        if self._line is None:
            self._line = self._http_client.open_line(self._url)
        response = await self._line.session.post(
            self._target,
            data=_write(body),
            headers=self._http_client.with_trace(self._headers),
            # A redirection would take the request, and the word for the answer, to whoever it names.
            allow_redirects=False,
            timeout=self._timeout,
            **self._line.proxy,
        )
        if response.status not in _SUCCESSES:
            raise await _read_refusal(response)
        return _open(response)


def _open(response: aiohttp.ClientResponse) -> StreamBody:
    """Its body. Raises UpstreamError for one that cannot be read."""
    try:
        return open_stream(response)
    except UpstreamError:
        response.close()
        raise


def _compose_headers(client: AsyncOpenAI, http_client: ModelServerClient) -> CIMultiDict[str]:
    """Those of each request; the client says itself what it leaves out."""
    headers = http_client.headers.copy()
    named = {**client.auth_headers, **client.default_headers, "x-stainless-retry-count": "0"}
    headers.update({name: value for name, value in named.items() if isinstance(value, str)})
    return CIMultiDict(headers.multi_items())


def _write(body: Mapping[str, Any]) -> bytes:
    try:
        return _encode(body)
    except OverflowError:  # a number of more than 64 bits, in a tool's schema
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


async def _read_refusal(response: aiohttp.ClientResponse) -> openai.APIStatusError:
    """What the official client would raise, with the beginning of what the server says."""
    said = await _read_beginning(response)
    told = httpx2.Response(
        response.status,
        headers=[(name, value) for name, value in response.headers.items() if name.lower() not in ENCODED_HEADERS],
        content=said,
        request=httpx2.Request("POST", str(response.url)),
    )
    body: Any = told.text.strip()
    with suppress(ValueError, RecursionError):
        body = json.loads(body)
    return openai.APIStatusError(f"Error code: {response.status}", response=told, body=body)


async def _read_beginning(response: aiohttp.ClientResponse) -> bytes:
    """As much of the body as an error may have, and as can be inflated."""
    said = bytearray()
    with suppress(UpstreamError):
        body = _open(response)
        try:
            while len(said) < MAX_ERROR_BYTES and (data := await body.read(NEVER)):
                said += data[: MAX_ERROR_BYTES - len(said)]
        finally:
            await body.close()
    return bytes(said)

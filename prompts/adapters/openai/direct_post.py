"""Requests for streams, as the official client would send them, but straight on a connection of its HTTP library.

The client makes everything anew for each request, checks and copies it: options, headers, a URL, a request and a
response of httpx2, another two of aiohttp. That is more than all the rest of asking a model. What a request is made of
(address, key, organisation, headers, proxies, certificates) is still the client's own, asked once.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import aiohttp
import httpx2
import msgspec
import openai
from openai import AsyncOpenAI
from yarl import URL

from prompts.adapters.openai.bodies import StreamBody, open_stream
from prompts.adapters.openai.exchange import Exchange
from prompts.adapters.openai.http_client import ENCODED_HEADERS, MAX_ERROR_BYTES, ModelServerClient
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
        self._headers = _list_headers(client, http_client)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s)
        self._request: aiohttp.ClientRequest | None = None
        """What the connector is asked for connections with."""
        self._connector: aiohttp.BaseConnector
        self._head = b""

    async def open(self, body: Mapping[str, Any]) -> StreamBody:
        """The answer's body, to be closed.

        Raises APIStatusError for an error status, as the official client does, and aiohttp's errors, and UpstreamError.
        """
        content = _write(body)
        exchange = await self._connect()
        try:
            await exchange.send(
                b"%b%bcontent-length: %d\r\n\r\n%b" % (self._head, self._write_trace(), len(content), content)
            )
            # A redirection is an error: it would take the request, and the word for the answer, to whoever it names.
            if exchange.status in _SUCCESSES:
                return open_stream(exchange)
            error = await _read_refusal(exchange, self._url)
        except BaseException:
            exchange.close()
            raise
        exchange.close()
        raise error

    async def _connect(self) -> Exchange:
        if self._request is None:
            self._request = self._build_request()
            self._head = _write_head(self._request)
        while True:
            connection = await self._connector.connect(self._request, [], self._timeout)
            assert connection.protocol is not None
            if connection.protocol.should_close:  # its server has sent something that nobody asked for
                connection.close()
                continue
            if self._request.proxy is not None:  # what it wants to be told is known now
                self._head = _write_head(self._request)
            return Exchange(connection)

    def _build_request(self) -> aiohttp.ClientRequest:
        line = self._http_client.open_line(self._url)
        assert line.session.connector is not None
        self._connector = line.session.connector
        return aiohttp.ClientRequest(
            "POST",
            URL(str(self._url)),
            headers=self._headers,
            loop=asyncio.get_running_loop(),
            session=line.session,
            **line.proxy,
        )

    def _write_trace(self) -> bytes:
        headers = self._http_client.list_trace_headers()
        return b"".join(_write_header(name, value) for name, value in headers.items()) if headers else b""


def _list_headers(client: AsyncOpenAI, http_client: ModelServerClient) -> list[tuple[str, str]]:
    """Those of each request; the client says itself what it leaves out."""
    headers = http_client.headers.copy()
    named = {**client.auth_headers, **client.default_headers, "x-stainless-retry-count": "0"}
    headers.update({name: value for name, value in named.items() if isinstance(value, str)})
    return headers.multi_items()


def _write_head(request: aiohttp.ClientRequest) -> bytes:
    """All of the head but for the length."""
    is_handed_on = request.proxy is not None and not request.is_ssl()
    target = str(request.url) if is_handed_on else request.url.raw_path_qs
    lines = (_write_header(name, value) for name, value in request.headers.items() if name.lower() != "content-length")
    return f"POST {target} HTTP/1.1\r\n".encode() + b"".join(lines)


def _write_header(name: str, value: str) -> bytes:
    """One line. Raises ValueError for what would be two."""
    line = f"{name}: {value}"
    if "\r" in line or "\n" in line:
        raise ValueError(f"A header must not hold the end of a line: {name!r}.")
    return line.encode() + b"\r\n"


def _write(body: Mapping[str, Any]) -> bytes:
    try:
        return _encode(body)
    except OverflowError:  # a number of more than 64 bits, in a tool's schema
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


async def _read_refusal(exchange: Exchange, url: httpx2.URL) -> openai.APIStatusError:
    """What the official client would raise, with the beginning of what the server says."""
    said = await _read_beginning(exchange)
    headers = {name: value for name, value in exchange.headers.items() if name not in ENCODED_HEADERS}
    request = httpx2.Request("POST", url)
    told = httpx2.Response(exchange.status, headers=headers, content=said, request=request)
    body: Any = told.text.strip()
    with suppress(ValueError, RecursionError):
        body = json.loads(body)
    return openai.APIStatusError(f"Error code: {exchange.status}", response=told, body=body)


async def _read_beginning(exchange: Exchange) -> bytes:
    """As much of the body as an error may have, and as can be inflated."""
    said = bytearray()
    with suppress(UpstreamError):
        body = open_stream(exchange)
        while len(said) < MAX_ERROR_BYTES and (data := await body.read()):
            said += data[: MAX_ERROR_BYTES - len(said)]
    return bytes(said)

"""The forms of `REDIS_URL` and `CACHE_URL`: one server, or Sentinels that know the master.

    redis://[user:password@]host[:port][/db]    one server; `rediss://` with TLS, `unix://` for a socket
    redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/db][?sentinel_username=…&sentinel_password=…]
    rediss+sentinel://…                         TLS to the Sentinels and to the master

Neither redis-py nor django-redis has a URL for Sentinel. Prefect, RedisVL and LangChain read this form: the hosts are
the Sentinels (default port 26379), `service` is the master's name at the Sentinels, user and password are the master's.
With TLS, `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` and `ssl_check_hostname` are allowed too.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

PLAIN_SCHEMES = ("redis", "rediss", "unix")
SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
SENTINEL_PORT = 26379
MAX_PORT = 65_535
# A name, an IPv4 address, or an IPv6 address in brackets; then an optional port.
HOST = re.compile(r"(?P<host>[^\[\]:@\s]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?")
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
OPTIONS = ("sentinel_username", "sentinel_password", *TLS_OPTIONS)
BOOLEANS = {"true": True, "false": False}
EXAMPLE = "redis+sentinel://host:26379,host:26379/mymaster/0"


class InvalidAddressError(ValueError):
    """The address is not valid.

    The message follows the variable's name; it quotes nothing, because a part may be a password.
    """


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """A master, by its name at these Sentinels."""

    sentinels: Sequence[tuple[str, int]]
    service: str
    db: int
    credentials: Mapping[str, str]
    """The master's `username` and `password`, as far as they are given."""
    sentinel_credentials: Mapping[str, str]
    tls: Mapping[str, str | bool] | None
    """redis-py's `ssl_…` options; None without TLS."""

    def sentinel_options(self, timeout_s: float) -> dict[str, Any]:
        """redis-py's options for a connection to a Sentinel. No retry: the next Sentinel is asked instead."""
        options: dict[str, Any] = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "retry": None}
        return options | dict(self.sentinel_credentials) | ({} if self.tls is None else {"ssl": True, **self.tls})


def parse_address(url: str) -> SentinelAddress | None:
    """The address of Sentinels; None for the address of one server. Raises InvalidAddressError."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidAddressError("is not a URL.") from None
    if parts.scheme in SENTINEL_SCHEMES:
        return _parse_sentinel(parts)
    if parts.scheme not in PLAIN_SCHEMES:
        *schemes, last = [f"{scheme}://" for scheme in (*PLAIN_SCHEMES, *SENTINEL_SCHEMES)]
        raise InvalidAddressError(f"must begin with {', '.join(schemes)} or {last}.")
    if parts.scheme != "unix":
        _parse_host(parts.netloc.rpartition("@")[2] or "localhost", 6379)
        _parse_db(parts.path.strip("/"))
    return None


def compose_cache(url: str, *, timeout_s: float) -> dict[str, Any]:
    """LOCATION and OPTIONS of a django-redis cache. Raises InvalidAddressError."""
    options: dict[str, Any] = {"SOCKET_CONNECT_TIMEOUT": timeout_s, "SOCKET_TIMEOUT": timeout_s}
    address = parse_address(url)
    if address is None:
        return {"LOCATION": url, "OPTIONS": options}
    options |= {key.upper(): value for key, value in address.credentials.items()}
    options |= {
        "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
        "SENTINELS": list(address.sentinels),
        "SENTINEL_KWARGS": address.sentinel_options(timeout_s),
        # django-redis lower-cases the name in LOCATION; Sentinels are case-sensitive.
        "CONNECTION_POOL_KWARGS": {"service_name": address.service},
    }
    if address.tls is not None:
        options["CONNECTION_POOL_KWARGS"] |= {"ssl": True, **address.tls}
    return {"LOCATION": f"redis://{quote(address.service, safe='')}/{address.db}", "OPTIONS": options}


def _parse_sentinel(parts: SplitResult) -> SentinelAddress:
    userinfo, _, hosts = parts.netloc.rpartition("@")
    service, _, db = parts.path.strip("/").partition("/")
    if not hosts or not service:
        raise InvalidAddressError(f"must name Sentinels and the master they watch, as in {EXAMPLE}.")
    username, _, password = userinfo.partition(":")
    options = _parse_options(parts.query)
    said = {name.removeprefix("sentinel_"): value for name, value in options.items() if name not in TLS_OPTIONS}
    tls = {name: value for name, value in options.items() if name in TLS_OPTIONS}
    if tls and parts.scheme != "rediss+sentinel":
        raise InvalidAddressError(f"says {', '.join(tls)}, which only rediss+sentinel:// has a use for.")
    return SentinelAddress(
        sentinels=[_parse_host(host, SENTINEL_PORT) for host in hosts.split(",")],
        service=unquote(service),
        db=_parse_db(db),
        credentials=_without_empty({"username": unquote(username), "password": unquote(password)}),
        sentinel_credentials=_without_empty(said),
        tls={**tls, **_parse_check_hostname(tls)} if parts.scheme == "rediss+sentinel" else None,
    )


def _parse_options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if set(options) - set(OPTIONS):
        raise InvalidAddressError(f"has an option that is none of {', '.join(OPTIONS)}.")
    return options


def _parse_check_hostname(tls: Mapping[str, str]) -> dict[str, bool]:
    if "ssl_check_hostname" not in tls:
        return {}
    if tls["ssl_check_hostname"].lower() not in BOOLEANS:
        raise InvalidAddressError("says ssl_check_hostname, which must be true or false.")
    return {"ssl_check_hostname": BOOLEANS[tls["ssl_check_hostname"].lower()]}


def _parse_host(text: str, default_port: int) -> tuple[str, int]:
    found = HOST.fullmatch(text)
    if found is None:
        raise InvalidAddressError("names a host that is not host or host:port.")
    port = int(found["port"] or default_port)
    if not 1 <= port <= MAX_PORT:
        raise InvalidAddressError(f"names a port that is not between 1 and {MAX_PORT}.")
    return found["host"].strip("[]"), port


def _parse_db(text: str) -> int:
    if text and not text.isdecimal():
        raise InvalidAddressError("names a database that is not a number.")
    return int(text or 0)


def _without_empty(said: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in said.items() if value}

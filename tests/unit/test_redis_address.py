"""Addresses of Redis, one server or Sentinels. A wrong address is refused without repeating its password."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env
from config.redis_address import InvalidAddressError, compose_cache, parse_address

WHOLE = (
    "rediss+sentinel://us%40er:pa%2Fss@one:26380,10.0.0.2,[fd00::3]:26381/My%20Master/3"
    "?sentinel_username=watcher&sentinel_password=%26secret&ssl_ca_certs=/ca.pem&ssl_check_hostname=false"
)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "rediss://user:password@redis.example.com/1?ssl_cert_reqs=none",
        "redis://[::1]:6379",
        "redis:///2",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_an_address_of_one_server_is_left_to_redis_py(url: str) -> None:
    assert parse_address(url) is None
    assert compose_cache(url, timeout_s=2) == {
        "LOCATION": url,
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 2, "SOCKET_TIMEOUT": 2},
    }


def test_a_short_address_of_sentinels_has_defaults() -> None:
    address = parse_address("redis+sentinel://sentinel/mymaster")
    assert address is not None
    assert (address.sentinels, address.service, address.db) == ([("sentinel", 26379)], "mymaster", 0)
    assert (address.credentials, address.sentinel_credentials, address.tls) == ({}, {}, None)


def test_an_address_of_sentinels_says_everything() -> None:
    address = parse_address(WHOLE)
    assert address is not None
    assert address.sentinels == [("one", 26380), ("10.0.0.2", 26379), ("fd00::3", 26381)]
    assert (address.service, address.db) == ("My Master", 3)
    assert address.credentials == {"username": "us@er", "password": "pa/ss"}
    assert address.sentinel_credentials == {"username": "watcher", "password": "&secret"}
    assert address.tls == {"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False}
    options = address.sentinel_options(2)
    assert options["ssl"] is True
    assert (options["username"], options["socket_timeout"], options["retry"]) == ("watcher", 2, None)


def test_a_password_alone_needs_no_user() -> None:
    address = parse_address("redis+sentinel://:secret@sentinel/mymaster/1")
    assert address is not None
    assert address.credentials == {"password": "secret"}


def test_a_cache_behind_sentinels_minds_the_case_of_the_name_and_keeps_the_databases_apart() -> None:
    cache = compose_cache(WHOLE, timeout_s=2)
    assert cache["LOCATION"] == "redis://My%20Master/3"
    options = cache["OPTIONS"]
    assert options["CONNECTION_POOL_KWARGS"]["service_name"] == "My Master"
    assert options["CONNECTION_POOL_KWARGS"]["ssl"] is True
    assert (options["USERNAME"], options["PASSWORD"]) == ("us@er", "pa/ss")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://hunter2@127.0.0.1:6379", "must begin with redis://"),
        ("127.0.0.1:6379", "must begin with redis://"),
        ("redis+sentinel://:hunter2@sentinel:26379", "the master they watch"),
        ("redis+sentinel:///mymaster/0", "must name Sentinels"),
        ("redis+sentinel://:hunter2@sentinel:26379/mymaster/hunter2", "not a number"),
        ("redis+sentinel://:hunter2@one:1,,two:2/mymaster", "host or host:port"),
        ("redis+sentinel://:hunter2@one:port/mymaster", "host or host:port"),
        ("redis+sentinel://:hunter2@one:70000/mymaster", "between 1 and 65535"),
        ("redis+sentinel://:hunter2@one/mymaster?sentinel_pasword=hunter2", "none of sentinel_username"),
        ("redis+sentinel://one/mymaster?ssl_ca_certs=/ca.pem", "only rediss+sentinel://"),
        ("rediss+sentinel://one/mymaster?ssl_check_hostname=perhaps", "true or false"),
        ("redis://:hunter2@127.0.0.1:0/0", "between 1 and 65535"),
        ("redis://:hunter2@127.0.0.1/mymaster", "not a number"),
        ("redis://:hunt/er2@127.0.0.1/0", "host or host:port"),
        ("redis://[::1/0", "is not a URL"),
    ],
)
def test_a_wrong_address_is_refused_by_name_and_repeats_no_password(
    monkeypatch: pytest.MonkeyPatch, url: str, told: str
) -> None:
    monkeypatch.setenv("EPS_TEST_URL", url)
    with pytest.raises(ImproperlyConfigured, match=r"^EPS_TEST_URL ") as refused:
        env.redis_url("EPS_TEST_URL", "redis://localhost/0")
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_refused_address_is_a_value_error() -> None:
    with pytest.raises(InvalidAddressError):
        parse_address("redis+sentinel://")

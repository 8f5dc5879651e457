"""Hosts in addresses of images and files: public ones, in whichever way an address is spelled."""

from time import perf_counter

import pytest

from prompts.api.wire.addresses import check_messages
from prompts.domain.media_hosts import MAX_ADDRESS_CHARACTERS, PUBLIC_HOSTS, read_media_hosts
from prompts.errors import InvalidRequest

PUBLIC = [
    "https://images.example.com/cat.png?size=1#a",
    "HTTP://Images.Example.COM:8443/cat.png",
    "https://images.example.com./cat.png",
    "https://bücher.example/cat.png",
    "https://xn--bcher-kva.example/",
    "https://8.8.8.8/cat.png",
    "https://[2001:4860:4860::8888]:443/cat.png",
    "https://localhost.example.com/",
    "https://example.com/http://127.0.0.1/",
]
PRIVATE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://010.0.0.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://127.0.0.1./",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://10.0.0.5/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.100.100.200/",
    "http://169.254.169.254/latest/meta-data/",
    "http://168.63.129.16/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/",
    "http://localhost/",
    "http://LOCALHOST:6379/",
    "http://localhost./",
    "http://ｌocalhost/",
    "http://a.localhost/",
    "http://redis/",
    "http://redis.default.svc/",
    "http://redis.default.svc.cluster.local/",
    "http://metadata.google.internal/",
    "http://metadata/",
    "http://printer.lan/",
    "http://127.0.0.1.nip.io/",
    "http://localtest.me/",
]
ODD = [
    "",
    "http://",
    "http:///cat.png",
    "http:example.com",
    "//example.com/cat.png",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http://user@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1\\.example.com/",
    "http://example.com%2f@127.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://exam\nple.com/",
    " http://example.com/",
    "http://example.com/ a",
    "http://example..com/",
    "http://example.com:80:80/",
    "http://[example.com]/",
    "http://256.256.256.256/",
    "http://1.2.3/",
    "http://example.1/",
    f"http://{'a' * 300}.example/",
    "https://example.com/" + "a" * MAX_ADDRESS_CHARACTERS,
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_host_may_be_named(address: str) -> None:
    assert PUBLIC_HOSTS.may_name(address)


@pytest.mark.parametrize("address", [*PRIVATE, *ODD])
def test_no_other_host_may_be_named(address: str) -> None:
    assert not PUBLIC_HOSTS.may_name(address)


@pytest.mark.parametrize(
    ("words", "address", "may_be_named"),
    [
        (["*", "127.0.0.1"], "http://127.0.0.1:9000/", True),
        (["*", "127.0.0.1"], "http://2130706433/", False),
        (["*", "127.0.0.1"], "http://example.com/", True),
        (["[::1]"], "http://[0:0:0:0:0:0:0:1]/", True),
        (["minio"], "http://minio:9000/", True),
        (["minio"], "http://example.com/", False),
        (["*.example.com"], "http://a.EXAMPLE.com/", True),
        (["*.example.com"], "http://example.com.evil.net/", False),
        (["*.example.com"], "http://example.com/", False),
        (["none"], "http://example.com/", False),
    ],
)
def test_an_operator_lists_hosts(words: list[str], address: str, may_be_named: bool) -> None:
    assert read_media_hosts(words).may_name(address) is may_be_named


@pytest.mark.timed
def test_a_long_address_is_refused_at_once() -> None:
    """An expression that tried every way to cut it took seven seconds for twenty thousand characters."""
    began = perf_counter()
    assert not PUBLIC_HOSTS.may_name("https://" + "a" * 5_000_000 + " ")
    assert not PUBLIC_HOSTS.may_name("https://" + "a" * (MAX_ADDRESS_CHARACTERS - 10) + " ")
    assert perf_counter() - began < 2


SECRET = "http://169.254.169.254/"


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "image_url", "image_url": {"url": SECRET}}, "image_url.url"),
        ({"type": "image_url", "image_url": SECRET}, "image_url"),
        ({"type": "video_url", "video_url": {"url": SECRET}}, "video_url.url"),
        ({"type": "image", "image": SECRET}, "image"),
        ({"type": "image", "source": {"kind": "any", "where": ["a", {"at": SECRET}]}}, "source.where[1].at"),
        ({"type": "image_url", "image_url": {"url": "/etc/passwd"}}, "image_url.url"),
        ({"type": "image", "image": "file:/etc/passwd"}, "image"),
        ({"type": "image", "image": "\x01ht\ntp://localhost/"}, "image"),
    ],
)
def test_an_address_is_found_in_what_is_handed_on(part: dict[str, object], place: str) -> None:
    messages = [{"role": "system", "content": SECRET}, {"role": "user", "content": [{"type": "text"}, part]}]
    with pytest.raises(InvalidRequest) as refused:
        check_messages(messages, PUBLIC_HOSTS)
    assert refused.value.param == f"messages[1].content[1].{place}"


@pytest.mark.parametrize(
    "content",
    [
        SECRET,
        [{"type": "text", "text": SECRET}],
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "http://"}}],
        [{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}],
        [{"type": "thinking", "thinking": "Note: nothing to see"}],
        [{"type": "input_audio", "input_audio": {"data": "//uQxAAA", "format": "mp3"}}],
        [["a", 1], None, 7],
        7,
    ],
)
def test_words_and_content_are_no_addresses(content: object) -> None:
    check_messages([{"role": "user", "content": content}, None, "odd"], PUBLIC_HOSTS)


def test_parts_are_not_nested_without_end() -> None:
    part: object = SECRET
    for _ in range(900):
        part = [{"a": part}]
    with pytest.raises(InvalidRequest):
        check_messages([{"role": "user", "content": part}], PUBLIC_HOSTS)

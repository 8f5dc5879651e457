"""Origins: what staff write becomes what browsers send, and what is no origin is refused."""

import pytest

from prompts.domain.origins import is_of_host, read_origin


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com/", "https://app.example.com"),
        ("HTTPS://App.Example.COM:443", "https://app.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_read_as_browsers_send_it(written: str, origin: str) -> None:
    assert read_origin(written) == origin


@pytest.mark.parametrize(
    "written",
    [
        *("", "*", "null", "https://*", "https://*.example.com", "example.com", "//example.com", "https://"),
        *("ftp://example.com", "file:///etc/passwd", "javascript:alert(1)", "chrome-extension://abc"),
        *("https://example.com/path", "https://example.com?x", "https://example.com#x", "https://example.com/?"),
        *("https://user@example.com", "https://good.example@evil.example", "https://example.com:"),
        *(
            "https://example.com:0x50",
            "https://example.com:99999",
            "https://exa mple.com",
            "https://example.com\r\nX: y",
        ),
        *(
            "https://example.com\\@evil.example",
            "https://-a.example",
            "https://a..example",
            "https://[::1",
            "https://[x]",
        ),
        *("https://" + "a" * 400, "https://ex\0ample.com", "https://example.com,https://b.example"),
    ],
)
def test_what_is_no_origin_is_refused_with_what_to_write(written: str) -> None:
    with pytest.raises(ValueError, match=r"is no origin\. Write it as https://"):
        read_origin(written)


@pytest.mark.parametrize(
    ("origin", "host", "is_own"),
    [
        ("https://eps.example", "eps.example", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("https://eps.example", "EPS.example", True),
        ("https://eps.example.evil.example", "eps.example", False),
        ("https://evil.example", "eps.example", False),
        ("http://127.0.0.1:8001", "127.0.0.1:8000", False),
        ("null", "null", False),
        ("", "", False),
        ("chrome-extension://eps.example", "eps.example", False),
    ],
)
def test_our_own_pages_are_those_of_our_host(origin: str, host: str, is_own: bool) -> None:
    assert is_of_host(origin, host) is is_own

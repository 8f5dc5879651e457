"""Origins of pages: scheme, host and port, as a browser says them in `Origin`."""

import re
from urllib.parse import urlsplit

MAX_ORIGIN_CHARACTERS = 300
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_IPV6 = re.compile(r"[0-9a-f:.]+")


def read_origin(text: str) -> str:
    """An origin as browsers send it, from what a person wrote. Raises ValueError with what to do.

    There are no patterns: `*` would let any page use the key that somebody has left in a browser.
    """
    wrong = ValueError(
        f"'{text[:100]}' is no origin. Write it as https://app.example.com, with a port where it has one."
    )
    if len(text) > MAX_ORIGIN_CHARACTERS or not text.isprintable() or " " in text or "\\" in text:
        raise wrong
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in _DEFAULT_PORTS or parts.path not in ("", "/") or not parts.hostname:
        raise wrong
    if "@" in parts.netloc or parts.netloc.endswith(":") or any(mark in text for mark in "?#"):
        raise wrong
    shown = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{_read_host(parts.hostname, wrong)}{shown}"


def _read_host(host: str, wrong: ValueError) -> str:
    if ":" in host:
        if not _IPV6.fullmatch(host):
            raise wrong
        return f"[{host}]"
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise wrong from None
    if not _NAME.fullmatch(name):
        raise wrong
    return name


def is_of_host(origin: str, host: str) -> bool:
    """Whether a page of this origin was served under this `Host`: the page is our own."""
    scheme, mark, place = origin.partition("://")
    return bool(mark) and scheme in _DEFAULT_PORTS and place == host.lower()

"""Addresses without their secrets."""

from urllib.parse import urlsplit, urlunsplit


def hide_credentials(url: str) -> str:
    """The address without user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"…@{host}" if "@" in parts.netloc else host, query=""))

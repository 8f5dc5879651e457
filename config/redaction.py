"""Addresses as they may be shown: without what only their owner should see."""

from urllib.parse import urlsplit, urlunsplit


def hide_credentials(url: str) -> str:
    """The address without user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"…@{host}" if "@" in parts.netloc else host, query=""))

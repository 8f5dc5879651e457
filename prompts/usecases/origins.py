"""Which page a browser asks from: its own project's pages may use a key or a client secret, and our own."""

from prompts.domain.origins import is_of_host
from prompts.errors import OriginNotAllowed
from prompts.ports.origins import Origins


async def check_origin(origin: str | None, *, host: str, owner: str, origins: Origins) -> None:
    """Raises OriginNotAllowed for a page of another site that the owner does not allow, Unavailable.

    `origin` and `host` are the headers of those names. Whoever is no browser sends no origin.
    """
    if origin is None or is_of_host(origin, host) or await origins.allows(origin, owner=owner):
        return
    raise OriginNotAllowed(origin)

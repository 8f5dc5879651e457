"""Makes up how likely a token was: steady from one time to the next, and plausible."""

import zlib
from typing import Any


def compose_logprob(token: str, top: int) -> dict[str, Any]:
    """A token's likelihood, and so many alternatives: the token first, then others that are ever less likely."""
    logprob = -(zlib.crc32(token.encode()) % 100) / 1000
    options = [(token if rank == 0 else f"{token}~{rank}", logprob - rank) for rank in range(top)]
    return {**_compose_option(token, logprob), "top_logprobs": [_compose_option(*option) for option in options]}


def _compose_option(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

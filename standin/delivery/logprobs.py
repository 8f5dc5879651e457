"""Made-up log probabilities of tokens: plausible, and always the same."""

import zlib
from typing import Any


def compose_logprob(token: str, top: int) -> dict[str, Any]:
    """A token's log probability and `top` alternatives: the token itself, then less and less likely ones."""
    logprob = -(zlib.crc32(token.encode()) % 100) / 1000
    options = [(token if rank == 0 else f"{token}~{rank}", logprob - rank) for rank in range(top)]
    return {**_compose_option(token, logprob), "top_logprobs": [_compose_option(*option) for option in options]}


def _compose_option(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

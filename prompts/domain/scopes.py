"""What an API key may do, as it is written down: its scopes with blanks between them, and nothing for all of them."""

from collections.abc import Iterable, Mapping

# In the order in which people read them.
SCOPES: Mapping[str, str] = {
    "read": "read what the project has",
    "write": "answer, and change what the project has",
    "admin": "make client secrets, and change prompts",
}


def write_scopes(scopes: Iterable[str]) -> str:
    """Scopes as they are stored. Raises ValueError, with what to do, for what is none."""
    chosen = set(scopes)
    if unknown := sorted(chosen - set(SCOPES)):
        raise ValueError(f"There is no scope '{unknown[0]}'. Name some of {', '.join(SCOPES)}, or none for all.")
    return "" if chosen == set(SCOPES) else " ".join(sorted(chosen))

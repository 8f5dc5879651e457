"""Goes on exactly where an unfinished answer stopped.

When the given text is the beginning of our own answer, the rest of it follows. When it is not (another model wrote it,
or the messages differ), the whole answer follows after " … ", and a second break inside that is continued in its turn.
"""

_SEAM = " … "


def continue_answer(whole: str, prefix: str, *, echoes: bool) -> str:
    """What comes after the prefix. `echoes` says the prefix again first, as some servers do."""
    rest = _find_rest(whole, prefix)
    return prefix + rest if echoes else rest


def _find_rest(whole: str, prefix: str) -> str:
    if whole.startswith(prefix):
        return whole[len(prefix) :]
    _, seam, after = prefix.rpartition(_SEAM)
    if seam and whole.startswith(after):
        return whole[len(after) :]
    return _SEAM + whole if whole else ""

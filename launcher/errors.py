"""Why `make run` can refuse to start, or end before it was asked to."""


class CannotRunError(Exception):
    """One sentence for the person at the terminal: what is wrong, and what to do."""

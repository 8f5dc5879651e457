"""The error of `make run`."""


class CannotRunError(Exception):
    """`make run` cannot start or go on. The message says what is wrong and what to do."""

"""Calls of the ORM outside of requests, in threads. Django closes a connection when a request ends: here none does."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

Value = TypeVar("Value")


async def ask_sql(call: Callable[[], Value]) -> Value:
    """What the call returns, made in a thread. Raises DatabaseError, InterfaceError, and what the call raises."""
    return await sync_to_async(partial(call_and_close, call), thread_sensitive=False)()


def call_and_close(call: Callable[[], Value]) -> Value:
    """Make the call, and close the connections that this thread has opened for it."""
    try:
        return call()
    finally:
        connections.close_all()

"""The service with counters for thread pools and Django's request signals, for `test_no_threads`.

`uvicorn tests.integration.no_threads_app:app`. `GET /_submissions` returns how many calls were submitted to thread
pools and how many signals were sent since the process started.
"""

import concurrent.futures
import json
from typing import Any

count = 0
submit = concurrent.futures.ThreadPoolExecutor.submit


def counted_submit(pool: concurrent.futures.ThreadPoolExecutor, *args: Any, **kwargs: Any) -> Any:
    """`loop.run_in_executor`, `asyncio.to_thread` and asgiref's `sync_to_async` all call this."""
    global count  # noqa: PLW0603 -- one process, one counter
    count += 1
    return submit(pool, *args, **kwargs)


concurrent.futures.ThreadPoolExecutor.submit = counted_submit  # type: ignore[assignment]  # its signature says less

from django.core.signals import request_finished, request_started  # noqa: E402 -- after the counter

from config.asgi import application  # noqa: E402 -- after the counter

signals = 0


def count_signal(**_: Any) -> None:
    """Django's own handler sends one signal when a request begins and one when it ends."""
    global signals  # noqa: PLW0603 -- one process, one counter
    signals += 1


request_started.connect(count_signal)
request_finished.connect(count_signal)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The real application, and the counters."""
    if scope["type"] != "http" or scope["path"] != "/_submissions":
        await application(scope, receive, send)
        return
    body = json.dumps({"count": count, "signals": signals}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})

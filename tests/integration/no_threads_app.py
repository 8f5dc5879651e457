"""The service with a counter of what it hands to threads, for `test_no_threads`.

`uvicorn tests.integration.no_threads_app:app`; `GET /_submissions` says how often a thread pool was asked for something
since the process started.
"""

import concurrent.futures
import json
from typing import Any

count = 0
submit = concurrent.futures.ThreadPoolExecutor.submit


def counted_submit(pool: concurrent.futures.ThreadPoolExecutor, *args: Any, **kwargs: Any) -> Any:
    """What `loop.run_in_executor`, `asyncio.to_thread` and asgiref's `sync_to_async` all come down to."""
    global count  # noqa: PLW0603 -- one process, one counter
    count += 1
    return submit(pool, *args, **kwargs)


concurrent.futures.ThreadPoolExecutor.submit = counted_submit  # type: ignore[assignment]

from config.asgi import application  # noqa: E402 -- counted from the first import on


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The real application, and the count."""
    if scope["type"] != "http" or scope["path"] != "/_submissions":
        await application(scope, receive, send)
        return
    body = json.dumps({"count": count}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})

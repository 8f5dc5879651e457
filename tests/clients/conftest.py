"""What tests of several clients share."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.clients.scenario import MODEL
from tests.support.service import Service


@pytest.fixture
async def settings(service: Service) -> AsyncIterator[dict[str, Any]]:
    """The arguments of every `ChatOpenAI` here.

    Its connections are closed at the end; it does not close them itself.
    """
    with httpx.Client() as blocking:
        async with httpx.AsyncClient() as client:
            yield {
                "model": MODEL,
                "base_url": service.api_url,
                "api_key": SecretStr(service.alice_key),
                "use_responses_api": True,
                "max_retries": 0,
                "http_client": blocking,
                "http_async_client": client,
            }

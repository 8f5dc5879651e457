"""A small real model for tests."""

import sys

from typing_extensions import override

from tests.support.processes import ServerProcess
from tests.support.servers import get_status


class SmolLM2Server(ServerProcess):
    """SmolLM2-135M on llama.cpp, from wheels."""

    @property
    def base_url(self) -> str:
        """For `OPENAI_BASE_URL`."""
        return f"{self.url}/v1"

    @override
    def get_command(self) -> list[str]:
        return [sys.executable, "-m", "launcher.smollm2", str(self.ports[0])]

    @override
    def is_ready(self) -> bool:
        return get_status(self.ports[0], "/health") == 200

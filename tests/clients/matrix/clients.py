"""The clients of others that are tried, unchanged, by a driver each: what it does is in its folder's `talk` program."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import REPO_ROOT

MATRIX = REPO_ROOT / "tests/clients/matrix"

HISTORY = "own history"
CHAINED = "previous_response_id"
CONVERSATION = "conversation"
ASIDE = ("data", "image", "unknown model", "wrong key")


@dataclass(frozen=True)
class Client:
    """A client: its language and folder, the package that is pinned there, and the ways it has to remember."""

    folder: str
    package: str
    ways: tuple[str, ...]

    @property
    def language(self) -> str:
        return self.folder.partition("/")[0]

    @property
    def source(self) -> Path:
        return MATRIX / self.folder

    @property
    def steps(self) -> tuple[str, ...]:
        """What its driver reports, in this order."""
        return (*self.ways, *(f"{way}, left" for way in self.ways), *ASIDE)


CLIENTS = (
    Client("python/pydantic_ai", "pydantic-ai-slim", (HISTORY, CHAINED, CONVERSATION)),
    Client("python/llama_index", "llama-index-llms-openai", (HISTORY, CHAINED, CONVERSATION)),
    Client("python/haystack", "haystack-ai", (HISTORY, CHAINED, CONVERSATION)),
    Client("python/agno", "agno", (HISTORY, CHAINED, CONVERSATION)),
    Client("python/litellm", "litellm", (HISTORY, f"{HISTORY}, as completions", CHAINED, CONVERSATION)),
    Client("python/strands", "strands-agents", (HISTORY, CHAINED)),
    Client("python/llm", "llm", (HISTORY,)),
    Client("node/openai_node", "openai", (HISTORY, CHAINED, CONVERSATION)),
    Client("node/openai_agents_js", "@openai/agents", (HISTORY, CHAINED, CONVERSATION, "session")),
    Client("node/langchain_js", "@langchain/openai", (HISTORY, CHAINED, CONVERSATION)),
    Client("node/open_responses", "@ai-sdk/open-responses", (HISTORY,)),
    Client("go/openai_go", "github.com/openai/openai-go/v3", (HISTORY, CHAINED, CONVERSATION)),
    Client("java/openai_java", "openai-java", (HISTORY, CHAINED, CONVERSATION)),
)

"""Decides once, from the environment, which processes `make run` starts and which servers it only uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from config.env import find_text
from launcher.errors import CannotRunError
from launcher.smollm2 import HISTORY_TOKENS
from launcher.smollm2 import MODEL as SMOLLM2

STANDIN_MODEL = "stand-in"
STANDIN_EMBEDDING = "stand-in-embedding"
WORDS_FOR_YES = {"1", "true", "yes", "on"}
WORDS_FOR_NO = {"0", "false", "no", "off"}
OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True)
class LaunchPlan:
    """Which servers `make run` starts itself ("embedded"). The others are used as configured."""

    has_embedded_valkey: bool
    has_embedded_model: bool
    model: str
    """The embedded model: the stand-in or SmolLM2."""
    has_embedded_weaviate: bool = False


def make_plan() -> LaunchPlan:
    """Read the plan from the environment (`NAME` or `NAME_FILE`; an empty variable counts as unset).

    Raises `CannotRunError` for a MODEL that is not one of ours.
    """
    model = find_text("MODEL") or STANDIN_MODEL
    if model not in (STANDIN_MODEL, SMOLLM2):
        raise CannotRunError(f"MODEL can be {STANDIN_MODEL} or {SMOLLM2}; for any other, set OPENAI_BASE_URL.")
    return LaunchPlan(
        has_embedded_valkey=not find_text("REDIS_URL"),
        # A key without an address means OpenAI itself.
        has_embedded_model=not find_text("OPENAI_BASE_URL") and not find_text("OPENAI_API_KEY"),
        model=model,
        has_embedded_weaviate=_is_weaviate_wanted() and not find_text("WEAVIATE_URL"),
    )


def _is_weaviate_wanted() -> bool:
    wanted = (find_text("WEAVIATE") or "0").lower()
    if wanted not in WORDS_FOR_YES | WORDS_FOR_NO:
        raise CannotRunError("WEAVIATE can be 1 or 0; to use one that runs already, set WEAVIATE_URL.")
    return wanted in WORDS_FOR_YES


def compose_environment(
    plan: LaunchPlan,
    *,
    database: Path,
    valkey_url: str,
    model_port: int,
    secret_key: str,
    weaviate: Mapping[str, str],
) -> Mapping[str, str]:
    """The settings of the embedded servers, without those that the environment already sets.

    `weaviate` holds those of the embedded Weaviate, if there is one.
    """
    embedded = {"DATABASE_URL": f"sqlite:///{quote(str(database))}", "REDIS_URL": valkey_url}
    embedded["CACHE_URL"] = find_neighbour_database(find_text("REDIS_URL") or embedded["REDIS_URL"])
    if plan.has_embedded_model:
        embedded["OPENAI_BASE_URL"] = f"http://127.0.0.1:{model_port}/v1"
        embedded["OPENAI_API_KEY"] = "none needed"
        embedded["DEFAULT_MODEL"] = plan.model
        embedded["EMBEDDING_MODEL"] = STANDIN_EMBEDDING if plan.model == STANDIN_MODEL else plan.model
    embedded |= weaviate
    if plan.has_embedded_model and plan.model == SMOLLM2:
        if plan.has_embedded_weaviate:
            embedded["EMBEDDING_MODEL"] = "none"  # llama.cpp gives no vectors beside answers
        embedded["HISTORY_TOKENS"] = str(HISTORY_TOKENS)
    # Readable logs, and cookies that a browser accepts over plain http.
    embedded |= {"LOG_FORMAT": "console", "HTTPS": "false", "SECRET_KEY": secret_key, "WORKERS": "2"}
    return {name: value for name, value in embedded.items() if not find_text(name)}


def find_neighbour_database(redis_url: str) -> str:
    """The next database on the same server: clearing the cache must not delete conversations."""
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":  # the path is the socket's
        options = dict(parse_qsl(parts.query))
        return f"{redis_url.partition('?')[0]}?{urlencode({**options, 'db': int(options.get('db', '0')) + 1})}"
    *service, number = parts.path.strip("/").split("/")
    if "+sentinel" in parts.scheme and not service:  # only the master's name, no database
        service, number = [number], ""
    neighbour = str(int(number) + 1 if number.isdecimal() else 1)
    return urlunsplit(parts._replace(path="/" + "/".join([*service, neighbour])))

"""`python -m benchmarks`: starts everything, measures, prints one table, keeps it in `results/latest.md`."""

import os
import platform
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.comparison import LoadClient, Row, open_client
from benchmarks.redis_cost import measure_redis
from benchmarks.scenarios import (
    LONG_ITEMS,
    compare_fresh_turns,
    compare_health,
    compare_long_turns,
    compare_paced_turns,
    compare_retrieval,
    compare_streams,
)
from benchmarks.servers import Servers, open_servers

RESULT = Path(__file__).parent / "results" / "latest.md"
PACKAGES = ("Django", "fastapi", "uvicorn", "uvloop", "pydantic", "msgspec", "openai", "redis", "hiredis")


def main() -> None:
    began = time.monotonic()
    facts = list(_list_machine())
    with tempfile.TemporaryDirectory() as directory, open_servers(Path(directory)) as servers, open_client() as client:
        facts.append(_describe_redis(servers))
        rows = _measure_all(client, servers)
        redis_rows, sentences = measure_redis(client, servers)
    facts.append(f"took {time.monotonic() - began:.0f} s")
    report = _render([*rows, *redis_rows], facts, sentences)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(report, "utf-8")
    print(report)


def _measure_all(client: LoadClient, servers: Servers) -> list[Row]:
    rows: list[Row] = []
    for title, measured in _run_scenarios(client, servers):
        print(f"{title} …", flush=True)
        rows += [_add_title(title, row) for row in measured]
    return rows


def _run_scenarios(client: LoadClient, servers: Servers) -> Iterator[tuple[str, Iterable[Row]]]:
    yield "fresh conversations", compare_fresh_turns(client, servers)
    yield f"conversations of {LONG_ITEMS:,} items", compare_long_turns(client, servers)
    yield "a token every 20 ms", compare_paced_turns(client, servers)
    yield "fresh conversations", compare_streams(client, servers)
    for other in (servers.plain, servers.bare):
        yield "GET /v1/responses/{id}", compare_retrieval(client, servers, other)
        yield "GET /healthz", compare_health(client, servers, other)


def _add_title(title: str, row: Row) -> Row:
    return Row(f"{title}: {row.what}", row.ours, row.other_name, row.other, row.ratio, row.is_more_better)


def _render(rows: Sequence[Row], facts: Sequence[str], sentences: Sequence[str]) -> str:
    lines = [
        "| what | ours | beside | that one | ours ÷ that | better |",
        "|---|---:|---|---:|---:|---|",
        *(
            f"| {row.what} | {row.ours} | {row.other_name} | {row.other} | **{row.ratio:.2f}** | "
            f"{'more' if row.is_more_better else 'less'} |"
            for row in rows
        ),
        "",
        *(f"{sentence}  " for sentence in sentences),
        "",
        " · ".join(facts),
        "",
    ]
    return "\n".join(lines)


def _list_machine() -> Iterator[str]:
    yield f"{os.cpu_count()} cores"
    yield f"load {os.getloadavg()[0]:.2f} at the start"
    yield f"{platform.system()} {platform.machine()}"
    yield f"Python {platform.python_version()}"
    yield from (f"{package} {version(package)}" for package in PACKAGES)


def _describe_redis(servers: Servers) -> str:
    info: dict[str, Any] = servers.redis.info("server")
    return f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}"


if __name__ == "__main__":
    main()

"""`python -m benchmarks.knowledge [PASSAGES]`: how fast the indexes are filled and searched, and their memory.

10,000 passages by default, of words that are as frequent as in English, with attributes. One line an adapter: passages
a second, a search alone, 32 searches at once, with and without a filter, and the memory of the server's process (of
our own for SQLite). Vectors are the stand-in's, 256 numbers, made in this process: a model's server's time comes on
top.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.retrieval.__main__ import HashedWords
from launcher.weaviate import build_weaviate_server, get_bin_dir
from prompts.domain import ids
from prompts.domain.passages import Comparison, Filter, Stretch
from prompts.ports.passage_index import Indexed, PassageIndex
from tests.support.knowledge import new_store, open_sqlite_index, open_weaviate_index
from tests.support.servers import WeaviateServer

PASSAGES = 10_000
PASSAGES_A_FILE = 50
WORDS_A_PASSAGE = 180
VOCABULARY = 20_000
SEARCHES = 200
AT_ONCE = 32
FOUND = 10
A_FILTER = Comparison(type="gte", key="year", value=2020)


@dataclass(frozen=True)
class Figures:
    """What was measured of one adapter; times in milliseconds, as the median and the 95th percentile."""

    name: str
    passages_a_second: float
    alone_ms: tuple[float, float]
    filtered_ms: tuple[float, float]
    at_once_ms: tuple[float, float]
    memory_mb: float


@dataclass(frozen=True)
class Opened:
    """An index, and the process whose memory it takes."""

    name: str
    index: PassageIndex
    process: psutil.Process


async def main(passages: int) -> None:
    """Measure both, print the table."""
    print(f"{passages} passages of {WORDS_A_PASSAGE} words; milliseconds: median / 95th percentile\n")
    print(f"{'':18}{'passages/s':>11}{'alone':>16}{'with a filter':>16}{f'{AT_ONCE} at once':>16}{'MB':>8}")
    for open_one in (open_sqlite, open_weaviate):
        async with open_one() as opened:
            show(await measure(opened, passages))


async def measure(opened: Opened, passages: int) -> Figures:
    """Fill, then search."""
    chance = random.Random(7)
    words = [f"w{number:x}ord" for number in range(VOCABULARY)]
    files = list(make_files(chance, words, passages))
    store = new_store()
    began = time.perf_counter()
    for file in files:
        await opened.index.put(store, file)
    rate = passages / (time.perf_counter() - began)
    queries = [" ".join(pick(chance, words, 8)) for _ in range(SEARCHES)]

    def ask(query: str, where: Filter | None = None) -> Callable[[], Awaitable[object]]:
        return lambda: opened.index.search(store, [query], limit=FOUND, where=where)

    alone = [await timed(ask(query)) for query in queries]
    filtered = [await timed(ask(query, A_FILTER)) for query in queries]
    at_once = [
        took
        for start in range(0, SEARCHES, AT_ONCE)
        for took in await asyncio.gather(*(timed(ask(query)) for query in queries[start : start + AT_ONCE]))
    ]
    memory = opened.process.memory_info().rss / 1e6
    return Figures(opened.name, rate, spread(alone), spread(filtered), spread(at_once), memory)


def make_files(chance: random.Random, words: Sequence[str], passages: int) -> Iterator[Indexed]:
    """Files of fifty passages."""
    for number in range(0, passages, PASSAGES_A_FILE):
        count = min(PASSAGES_A_FILE, passages - number)
        yield Indexed(
            file_id=ids.new_id(ids.FILE, "00"),
            filename=f"report {number}.pdf",
            attributes={"year": 2015 + number % 10, "town": f"town {number % 100}", "is_public": number % 3 == 0},
            stretches=[
                Stretch(number=place, text=" ".join(pick(chance, words, WORDS_A_PASSAGE)), heading=f"Part {place}")
                for place in range(count)
            ],
        )


def pick(chance: random.Random, words: Sequence[str], count: int) -> list[str]:
    """Words by Zipf's law: the second is half as frequent as the first."""
    return [words[int(len(words) ** chance.random()) - 1] for _ in range(count)]


async def timed(ask: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of a search."""
    began = time.perf_counter()
    await ask()
    return 1000 * (time.perf_counter() - began)


def spread(times: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


@asynccontextmanager
async def open_sqlite() -> AsyncIterator[Opened]:
    """A file of its own."""
    with tempfile.TemporaryDirectory() as directory:
        async with open_sqlite_index(Path(directory) / "knowledge.sqlite3") as index:
            yield Opened("SQLite", index, psutil.Process())


@asynccontextmanager
async def open_weaviate() -> AsyncIterator[Opened]:
    """A Weaviate of its own, with vectors."""
    with (
        tempfile.TemporaryDirectory() as directory,
        WeaviateServer(Path(directory), build_weaviate_server(get_bin_dir())) as server,
    ):
        async with open_weaviate_index(server.address, HashedWords(), collection="EpsKnowledge") as index:
            await index.prepare()
            yield Opened("Weaviate, hybrid", index, psutil.Process(server.pid))


def show(figures: Figures) -> None:
    """One line of the table."""
    times = (figures.alone_ms, figures.filtered_ms, figures.at_once_ms)
    columns = "".join(f"{f'{median:.1f} / {high:.1f}':>16}" for median, high in times)
    print(f"{figures.name:18}{figures.passages_a_second:11.0f}{columns}{figures.memory_mb:8.0f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else PASSAGES))

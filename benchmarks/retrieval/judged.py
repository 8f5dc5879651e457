"""The documents and the questions whose source is known, and how well an index answers them."""

import csv
import gzip
import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prompts.domain import ids
from prompts.domain.passages import Stretch
from prompts.ports.passage_index import Indexed, PassageIndex, Ranking

HERE = Path(__file__).parent
DIMENSIONS = 256
# As many passages as a search brings by default: several may be of one document.
FOUND = 20
AMONG_FIRST = 5


@dataclass(frozen=True)
class Judged:
    """Files to put, questions with the id of the file that answers each, and the vectors of all texts."""

    files: Sequence[Indexed]
    questions: Sequence[tuple[str, str]]
    vectors: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Quality:
    """How often the source is among the first five documents, and the mean of one divided by its place."""

    recall: float
    mrr: float


class GivenVectors:
    """`Embedder` of texts whose vectors are there."""

    def __init__(self, vectors: Mapping[str, Sequence[float]]) -> None:
        self._vectors = vectors

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See `Embedder.embed`."""
        return [self._vectors[text] for text in texts]


def read_judged() -> Judged:
    """What `make_data.py` wrote. A file's id is made from its name."""
    documents: list[tuple[str, str, list[str]]] = json.loads(gzip.decompress((HERE / "corpus.json.gz").read_bytes()))
    with (HERE / "questions.tsv").open(encoding="utf-8") as file:
        questions = [(question, make_id(wanted)) for wanted, question in csv.reader(file, delimiter="\t")]
    files = [
        Indexed(
            file_id=make_id(name),
            filename=f"{name.removeprefix('topic:')}.txt",
            attributes={},
            stretches=[Stretch(number=number, text=text, heading=heading) for number, text in enumerate(passages)],
        )
        for name, heading, passages in documents
    ]
    texts = [f"{stretch.heading}\n{stretch.text}" for file in files for stretch in file.stretches]
    return Judged(files, questions, read_vectors([*texts, *(question for question, _ in questions)]))


def read_vectors(texts: Sequence[str]) -> Mapping[str, Sequence[float]]:
    """The vector of each text."""
    numbers = array("b", gzip.decompress((HERE / "vectors.bin.gz").read_bytes()))
    assert len(numbers) == len(texts) * DIMENSIONS
    return {
        text: [number / 127 for number in numbers[place * DIMENSIONS : (place + 1) * DIMENSIONS]]
        for place, text in enumerate(texts)
    }


def make_id(name: str) -> str:
    """The id of a document's file."""
    return f"{ids.start_of(ids.FILE)}{ids.find_partition(name)}{name.encode().hex()[:60]}"


async def fill(index: PassageIndex, store: str, files: Sequence[Indexed]) -> None:
    """Put them all."""
    for file in files:
        await index.put(store, file)


async def judge(index: PassageIndex, store: str, questions: Sequence[tuple[str, str]], ranking: Ranking) -> Quality:
    """Ask all questions."""
    places = []
    for question, wanted in questions:
        found = await index.search(store, [question], limit=FOUND, ranking=ranking)
        order = list(dict.fromkeys(passage.file_id for passage in found))
        places.append(order.index(wanted) + 1 if wanted in order else 0)
    recall = sum(0 < place <= AMONG_FIRST for place in places) / len(places)
    return Quality(recall, sum(1 / place for place in places if place) / len(places))

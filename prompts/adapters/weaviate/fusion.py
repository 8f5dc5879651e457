"""One order of what words and what vectors have found: relative scores, weighed by how sure each part is.

A part's scores are stretched to 0..1 (Weaviate's relative score fusion). Then they count by the weight that is asked
for, and by how far the part's best one stands out from the rest: of a question in other words than the text's, nothing
stands out by words; of a name that the embedding model has never met, nothing by vectors. `python -m
benchmarks.retrieval` measures it. With fixed weights alone, as in Weaviate's own hybrid search, the weaker part drew
the result below the better one's by up to 0.1 (recall of five).
"""

from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean, pstdev
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

# What each part brings: those below it stand for all the others.
CANDIDATES = 100
# The first fifth is what may stand out, the rest is what it stands out from.
REST = 5
SURENESS_EXPONENT = 1.5
LEAST_SURENESS = 0.1
# Relative to the best score: below it all are equal.
EQUAL = 1e-9
# Too few to say what is usual.
MIN_CANDIDATES = 3


def fuse(words: Mapping[Key, float], vectors: Mapping[Key, float], *, text_weight: float) -> dict[Key, float]:
    """Scores of 0..1. `words` and `vectors` are the best `CANDIDATES` by each, with their scores."""
    of_words = text_weight * _sureness(list(words.values()))
    of_vectors = (1 - text_weight) * _sureness(list(vectors.values()))
    in_all = (of_words + of_vectors) or 1.0
    # Whatever has none of the words has the score 0, so the last of a few that have some is no bottom.
    words_floor = min(words.values()) if len(words) >= CANDIDATES else 0.0
    by_words = _stretch(words, words_floor)
    by_vectors = _stretch(vectors, min(vectors.values(), default=0.0))
    return {
        key: min((of_words * by_words.get(key, 0.0) + of_vectors * by_vectors.get(key, 0.0)) / in_all, 1.0)
        for key in {**by_words, **by_vectors}
    }


def scale(words: Mapping[Key, float]) -> dict[Key, float]:
    """Scores as parts of the best one's."""
    return _stretch(words, 0.0)


def _stretch(scores: Mapping[Key, float], floor: float) -> dict[Key, float]:
    best = max(scores.values(), default=0.0)
    if best <= floor:
        return dict.fromkeys(scores, 1.0)
    return {key: min(max((score - floor) / (best - floor), 0.0), 1.0) for key, score in scores.items()}


def _sureness(scores: Sequence[float]) -> float:
    """How many standard deviations of the rest the best one is above it, to a power; 0 where there is nothing."""
    if len(scores) < MIN_CANDIDATES:
        return 1.0 if scores else 0.0
    ordered = sorted(scores, reverse=True)
    rest = ordered[len(ordered) // REST :]
    deviation = pstdev(rest)
    if deviation <= EQUAL * max(abs(ordered[0]), 1.0):
        return 1.0
    return float(max((ordered[0] - fmean(rest)) / deviation, LEAST_SURENESS) ** SURENESS_EXPONENT)

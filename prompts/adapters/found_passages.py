"""What several queries have found, as one list."""

from collections.abc import Iterable, Sequence

from prompts.domain.passages import Passage


def merge(found: Iterable[Iterable[Passage]], *, limit: int, threshold: float) -> Sequence[Passage]:
    """Each passage once, with the best score that a query gave it, in the order of `rank`.

    Those below the threshold are left out.
    """
    best: dict[tuple[str, int], Passage] = {}
    for passages in found:
        for passage in passages:
            place = (passage.file_id, passage.number)
            if place not in best or best[place].score < passage.score:
                best[place] = passage
    fitting = [passage for passage in best.values() if passage.score >= threshold]
    return sorted(fitting, key=rank)[:limit]


def rank(passage: Passage) -> tuple[float, str, int]:
    """To sort by: the best first, equals in the order of their files."""
    return -passage.score, passage.file_id, passage.number

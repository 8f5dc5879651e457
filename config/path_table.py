"""Finding the view of a path without trying one regular expression after another.

Django tries every pattern of the URLconf until one matches: the 40th costs more than its view. A pattern of plain
segments and `<str:…>` is found here by its segments. Everything else is Django's, so that nothing is decided anew.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from django.urls import ResolverMatch, URLPattern, URLResolver
from django.urls.resolvers import RoutePattern


class Place(NamedTuple):
    """Where a pattern leads."""

    literals: tuple[str | None, ...]
    """The segments; None stands for any."""
    names: tuple[tuple[int, str], ...]
    """Which segments are arguments of the view."""
    match: ResolverMatch
    """The match, but for its arguments."""


class PathTable:
    """The patterns of a URLconf. Of two that fit a path, the one that spells its last segment out counts.

    Django takes the first of the two; a test sees to it that ours are the same.
    """

    def __init__(self, resolver: URLResolver) -> None:
        self._resolver = resolver
        self._places: dict[tuple[int, str], list[Place]] = {}
        for route, pattern in _walk(resolver.url_patterns, ""):
            place = _read(route, pattern)
            if place is not None:
                self._places.setdefault((len(place.literals), place.literals[-1] or ""), []).append(place)

    def resolve(self, path: str) -> ResolverMatch:
        """The view of a path, and its arguments. Raises Resolver404."""
        segments = path.split("/")
        for last in (segments[-1], ""):
            for place in self._places.get((len(segments), last), ()):
                if (match := _fit(place, segments)) is not None:
                    return match
        return self._resolver.resolve(path)


def _fit(place: Place, segments: list[str]) -> ResolverMatch | None:
    for literal, segment in zip(place.literals, segments, strict=True):
        if literal is None:
            if not segment:
                return None
        elif literal != segment:
            return None
    kwargs = {name: segments[at] for at, name in place.names}
    match = ResolverMatch.__new__(ResolverMatch)
    match.__dict__.update(place.match.__dict__, kwargs=kwargs, captured_kwargs=kwargs)
    return match


def _walk(patterns: Iterable[URLPattern | URLResolver], route: str) -> Iterator[tuple[str, URLPattern]]:
    """The patterns with their whole route, as far as routes have no regular expressions."""
    for pattern in patterns:
        if not isinstance(pattern.pattern, RoutePattern):
            continue
        whole = route + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield whole, pattern
        elif pattern.namespace is None and not pattern.default_kwargs:
            yield from _walk(pattern.url_patterns, whole)


def _read(route: str, pattern: URLPattern) -> Place | None:
    """None where a segment is more than a word or an argument of one segment."""
    literals: list[str | None] = [""]
    names: list[tuple[int, str]] = []
    for at, segment in enumerate(route.split("/"), start=1):
        if not segment.startswith("<"):
            if "<" in segment:
                return None
            literals.append(segment)
            continue
        kind, _, name = segment.strip("<>").rpartition(":")
        if kind not in ("", "str"):
            return None
        literals.append(None)
        names.append((at, name))
    if pattern.default_args:
        return None
    match = ResolverMatch(pattern.callback, (), {}, pattern.name, route=route, extra_kwargs={})
    return Place(tuple(literals), tuple(names), match)

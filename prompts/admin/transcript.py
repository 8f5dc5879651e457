"""Pure: a history as people read it, from the rows of the archive.

All text stays text: a template escapes it, and nothing here makes HTML.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from prompts.models import ArchivedItem, ArchivedResponse

Kind: TypeAlias = Literal["said", "thought", "call", "output", "search", "note"]

_KINDS: Mapping[str, Kind] = {"message": "said", "reasoning": "thought", "file_search_call": "search"}
# Of a call's arguments and a tool's output; all of it is in the raw JSON.
MAX_SHOWN_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Words:
    """Words of a part, and the passages that are cited behind them, by their numbers."""

    text: str
    cites: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One item: who said it, and what."""

    item_id: str
    kind: Kind
    role: str
    title: str
    parts: Sequence[Sequence[Words]]
    at: datetime | None
    raw: str
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class ShownPassage:
    """A passage that the model was given, and whether the answer cites it."""

    index: int
    filename: str
    where: str
    score: float
    text: str
    is_cited: bool


@dataclass(slots=True)
class Turn:
    """What was said before an answer, the answer, and what is known of it; None where the items have no response."""

    entries: list[Entry] = field(default_factory=list)
    response: ArchivedResponse | None = None
    facts: Sequence[tuple[str, str]] = ()
    passages: Sequence[ShownPassage] = ()
    raw: str = ""
    is_lost: bool = False
    """Whether it failed: it did not join the history."""


def build_turns(items: Sequence[ArchivedItem], responses: Sequence[ArchivedResponse]) -> list[Turn]:
    """The items in order, each answer with its response; failed responses stand where they were asked."""
    by_id = {response.id: response for response in responses}
    names = _name_calls(items)
    turns = [_build_turn(group, by_id.get(response_id), names) for response_id, group in _group(items)]
    told = {turn.response.id for turn in turns if turn.response is not None}
    lost = [_build_lost(response) for response in responses if response.id not in told]
    return sorted([*turns, *lost], key=_find_time)


def _group(items: Sequence[ArchivedItem]) -> Iterator[tuple[str, list[ArchivedItem]]]:
    """The items by the responses that end them: what was said, and the output behind it."""
    group: list[ArchivedItem] = []
    owner = ""
    for item in items:
        if owner and item.response_id != owner:
            yield owner, group
            group = []
        group.append(item)
        owner = item.response_id
    if group:
        yield owner, group


def _find_time(turn: Turn) -> tuple[float, float]:
    """Turns stand by when their answers were asked for; those without one by their last item."""
    at = turn.response.created_at if turn.response is not None else turn.entries[-1].at
    last = turn.entries[-1].at if turn.entries else None
    return (at.timestamp() if at else 0.0, last.timestamp() if last else 0.0)


def _name_calls(items: Sequence[ArchivedItem]) -> dict[str, str]:
    """What was called, by the ids of calls: an output says only the id."""
    calls = [item.content for item in items if item.type.endswith("_call")]
    return {str(call.get("call_id")): str(call["name"]) for call in calls if call.get("name")}


def _build_turn(items: Sequence[ArchivedItem], response: ArchivedResponse | None, names: Mapping[str, str]) -> Turn:
    turn = Turn([build_entry(item.content, at=item.created_at, names=names) for item in items], response)
    return _describe(turn) if response is not None else turn


def _build_lost(response: ArchivedResponse) -> Turn:
    """A response whose items are on no timeline: it has failed, or has not ended."""
    said = [*response.input, *((response.result or {}).get("output") or ())]
    turn = Turn([build_entry(item, at=response.created_at) for item in said if isinstance(item, dict)], response)
    turn.is_lost = response.status == "failed"
    return _describe(turn)


def _describe(turn: Turn) -> Turn:
    assert turn.response is not None
    cited = {number for entry in turn.entries for part in entry.parts for words in part for number in words.cites}
    turn.facts = list(list_facts(turn.response))
    turn.passages = [_show_passage(passage, cited) for passage in turn.response.passages]
    turn.raw = f"response/{turn.response.id}"
    return turn


def build_entry(
    content: Mapping[str, Any], *, at: datetime | None, names: Mapping[str, str] = MappingProxyType({})
) -> Entry:
    """One item, as the API shows it, for people; `names` are those of calls, by their ids."""
    kind_name = str(content.get("type", "message"))
    kind = _KINDS.get(kind_name) or (
        "output" if kind_name.endswith("_output") else "call" if kind_name.endswith("_call") else "note"
    )
    item_id = str(content.get("id") or "")
    role = str(content.get("role") or ("assistant" if kind == "thought" else "tool"))
    return Entry(
        item_id,
        kind,
        role,
        _find_title(kind_name, content, names),
        list(_list_parts(kind_name, content)),
        at,
        raw=f"item/{item_id}" if item_id else "",
        is_whole=content.get("status", "completed") == "completed",
    )


def _find_title(kind_name: str, content: Mapping[str, Any], names: Mapping[str, str]) -> str:
    match kind_name:
        case "message":
            return str(content.get("role", ""))
        case "reasoning":
            return "Thought"
        case "file_search_call":
            return "Searched files"
        case "compaction":
            return "Compacted history"
    words = kind_name.replace("_", " ")
    call_id = str(content.get("call_id") or "")
    if kind_name.endswith("_output"):
        return f"{names.get(call_id, call_id or words)} gave"
    name = content.get("name")
    return f"Called {name}" if name else words.capitalize()


def _list_parts(kind_name: str, content: Mapping[str, Any]) -> Iterator[Sequence[Words]]:
    match kind_name:
        case "message":
            said = content.get("content") or []
            for part in [{"type": "input_text", "text": said}] if isinstance(said, str) else said:
                yield list(_read_part(part))
        case "reasoning":
            for part in [*(content.get("summary") or ()), *(content.get("content") or ())]:
                yield list(_read_part(part))
        case "file_search_call":
            for query in content.get("queries") or ():
                yield [Words(str(query))]
        case _:
            shown = _read_data(content)
            if shown:
                yield [Words(shown)]


def _read_part(part: Any) -> Iterator[Words]:
    if not isinstance(part, Mapping):
        yield Words(str(part))
        return
    match part.get("type"):
        case "input_image":
            yield Words(f"[image: {_shorten(part.get('file_id') or part.get('image_url'))}]")
        case "input_file":
            named = part.get("filename") or part.get("file_id") or part.get("file_url")
            yield Words(f"[file: {_shorten(named)}]")
        case "refusal":
            yield Words(str(part.get("refusal", "")))
        case _:
            yield from _cite(str(part.get("text", "")), part.get("annotations") or ())


def _cite(text: str, annotations: Sequence[Any]) -> Iterator[Words]:
    """The text in pieces, each with the numbers of the passages that are cited behind it."""
    cites: dict[int, list[int]] = {}
    for note in annotations:
        if isinstance(note, Mapping) and note.get("type") == "file_citation":
            place, number = note.get("index"), note.get("eps:passage")
            if isinstance(place, int) and isinstance(number, int):
                cites.setdefault(min(max(place, 0), len(text)), []).append(number)
    begin = 0
    for place in sorted(cites):
        yield Words(text[begin:place], sorted(set(cites[place])))
        begin = place
    if begin < len(text) or not text:
        yield Words(text[begin:])


def _read_data(content: Mapping[str, Any]) -> str:
    """What a call or an output holds, in its own field where it has one."""
    for name in ("arguments", "input", "output", "action", "tools"):
        if name in content:
            data = content[name]
            return _cut(data if isinstance(data, str) else json.dumps(data, indent=2, ensure_ascii=False))
    hidden = ("type", "id", "status", "encrypted_content", "role")
    rest = {name: value for name, value in content.items() if name not in hidden}
    return _cut(json.dumps(rest, indent=2, ensure_ascii=False)) if rest else ""


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}\n… cut; all of it is raw"


def _shorten(address: object) -> str:
    """An address, or the beginning of data."""
    text = str(address or "sent along")
    return f"{text[:60]}…" if text.startswith("data:") else text[:200]


def _show_passage(passage: Mapping[str, Any], cited: set[int]) -> ShownPassage:
    number = passage.get("index", 0)
    page = f"page {passage['page']}" if passage.get("page") else ""
    return ShownPassage(
        number,
        str(passage.get("filename", "")),
        " · ".join(filter(None, [str(passage.get("heading") or ""), page])),
        float(passage.get("score") or 0.0),
        str(passage.get("text", "")),
        number in cited,
    )


def list_facts(response: ArchivedResponse) -> Iterator[tuple[str, str]]:
    """What is known of an answer besides its words, by name; nothing that is not known."""
    yield "Model", response.model
    if response.prompt_id:
        yield "Prompt", f"{response.prompt_id}, version {response.prompt_version}"
    yield from _list_tokens(response)
    if response.first_token_ms is not None:
        yield "First token", f"{response.first_token_ms / 1000:.2f} s"
    if response.completed_at is not None:
        yield "Took", f"{(response.completed_at - response.created_at).total_seconds():.1f} s"
    yield from _list_model_input((response.result or {}).get("eps:model_input") or {})
    if response.ignored:
        yield "Ignored", ", ".join(map(str, response.ignored))
    for notice in (response.result or {}).get("eps:notices") or ():
        yield "Notice", f"{notice.get('code', '')}: {notice.get('message', '')}"
    if response.follow_ups:
        yield "Suggested next", " | ".join(map(str, response.follow_ups))


def _list_tokens(response: ArchivedResponse) -> Iterator[tuple[str, str]]:
    if response.input_tokens is None or response.output_tokens is None:
        return
    cached = f", {response.cached_tokens:,} of them cached" if response.cached_tokens else ""
    thought = f", {response.reasoning_tokens:,} of them thoughts" if response.reasoning_tokens else ""
    estimated = " (estimated)" if (response.result or {}).get("eps:usage_estimated") else ""
    yield "Tokens", f"{response.input_tokens:,} in{cached}; {response.output_tokens:,} out{thought}{estimated}"


def _list_model_input(account: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not account:
        return
    given = f"{account.get('history_items', 0):,} items of the history, {account.get('input_items', 0):,} of the input"
    dropped = account.get("dropped_items", 0)
    yield "The model was given", f"{given}{f'; {dropped:,} left out' if dropped else ''}"

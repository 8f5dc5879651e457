"""Whatever a model may say, for tests that try everything: signals in any order, and how they are cut into groups."""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import get_args

from hypothesis import strategies as st

from prompts.domain.items import Logprob
from prompts.domain.passages import Passage
from prompts.domain.responses import ResponseError
from prompts.domain.signals import (
    Argued,
    BegunAnew,
    Called,
    CalledTool,
    Compacted,
    Finished,
    Found,
    HostedCall,
    HostedReturned,
    Opened,
    Refused,
    RoundEnded,
    Sealed,
    Signal,
    Summarized,
    Text,
    Thought,
)
from prompts.domain.tools import CallKind
from prompts.domain.usage import Usage

# Any text that UTF-8 can encode: astral and combining characters, controls, quotes, line separators, the empty text.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LOGPROBS = st.builds(Logprob, TEXTS, st.floats(-20, 0), st.lists(st.integers(0, 255), max_size=4))
# Parallel calls, arguments of calls that never began, and arguments that are no JSON.
CALLS = st.integers(0, 3)
WRITTEN = [
    "{}",
    '{"city":"Paris"}',
    '{"city":',
    '{"command":["ls","-l"],"workdir":"/tmp","timeout_ms":1000}',
    '{"command":"ls | wc","env":{"A":1}}',
    "[" * 2_000,
]
WORDS: st.SearchStrategy[Signal] = st.one_of(
    TEXTS.map(Text),
    st.builds(Text, TEXTS, st.lists(LOGPROBS, max_size=2)),
    TEXTS.map(Refused),
    st.sampled_from([Opened(None), Opened("commentary"), Opened("final_answer")]),
    TEXTS.map(Thought),
    st.builds(Summarized, TEXTS, st.integers(0, 2)),
    TEXTS.filter(bool).map(Sealed),
    st.builds(Called, CALLS, st.just("call_1"), st.sampled_from(["get_weather", "get_time"])),
    st.builds(
        CalledTool,
        CALLS,
        st.just("call_1"),
        st.just("patch"),
        st.sampled_from(get_args(CallKind)),
        st.sampled_from([None, "shop"]),
    ),
    st.builds(Argued, CALLS, st.one_of(TEXTS, st.sampled_from(WRITTEN))),
    st.builds(Argued, CALLS, st.just(""), TEXTS),
    st.builds(Compacted, TEXTS, st.none() | st.builds(Usage, *[st.integers(0, 2**40)] * 3)),
    st.just(BegunAnew()),
)
ENDS = st.one_of(
    st.builds(
        Finished,
        st.sampled_from(["stop", "length", "content_filter"]),
        st.none() | st.builds(Usage, *[st.integers(0, 2**40)] * 3),
    ),
    st.builds(ResponseError, st.sampled_from(["server_error", "rate_limit_exceeded"]), TEXTS),
    st.none(),
)


# Markers of passages that were found, or not, whole and in pieces; and what makes them none.
MARKERS = st.sampled_from(
    [
        *("[1]", " [2]", "[1][3]", "【2】", "[4]", " [", "[", "1", "]", "1]", ", 2]", "【", "】"),
        *("`", "```\n", "\n", "(", " ", "a"),
    ]
)
PASSAGES = [
    Passage(
        vector_store_id="vs_1",
        file_id=f"file-{index % 2}",
        filename="a.md",
        number=index,
        text="x",
        score=0.5,
        index=index,
    )
    for index in (1, 2, 3)
]
FOUND = st.sampled_from([None, Found(), Found(PASSAGES), Found(PASSAGES[:1], 2, is_shown=True), Found(is_failed=True)])


def _end_round(call_ids: Sequence[str], written: str, found: Found | None) -> list[Signal]:
    calls = [HostedCall(call_id, "file_search", "file_search", written) for call_id in call_ids]
    return [RoundEnded(calls), *(HostedReturned(call_id, "[]", found) for call_id in reversed(call_ids))]


ROUND_ENDS = st.builds(
    _end_round,
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=2, unique=True),
    st.sampled_from(['{"query":"tea"}', "{"]),
    FOUND,
)
# What goes on for a while, as answers do: texts in many pieces, with parallel calls in between.
STRETCHES = st.one_of(
    st.lists(TEXTS.map(Text), max_size=4),
    st.lists(MARKERS.map(Text), max_size=8),
    st.lists(TEXTS.map(Thought), max_size=4),
    st.lists(st.builds(Argued, CALLS, TEXTS), max_size=4),
    st.lists(WORDS, max_size=2),
)
ANSWERS: st.SearchStrategy[list[Signal]] = st.lists(
    st.one_of(STRETCHES, STRETCHES, STRETCHES, STRETCHES, ROUND_ENDS), max_size=7
).map(lambda stretches: list(chain.from_iterable(stretches)))


@st.composite
def splits(draw: st.DrawFn, words: Sequence[Signal]) -> list[list[Signal]]:
    """These signals in groups, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(words)), max_size=5)))
    bounds = [0, *cuts, len(words)]
    return [list(words[begin:end]) for begin, end in pairwise(bounds)]

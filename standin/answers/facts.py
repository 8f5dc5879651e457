"""Recalls facts from the conversation: "My name is Ada." … "What is my name?" → "Your name is Ada."

Facts are sentences of user, system and developer messages and of tool results: "my X is Y", "the X is Y", "X is called
Y", "remember that X is Y", "Ada is my sister", and the plain fields of a JSON tool result. The newest fact wins.
Numbered passages are no facts: answers from them carry a citation.
"""

import re
from collections.abc import Iterator

import msgspec

from standin.answers.conversation import Turn
from standin.answers.passages import strip_passages
from standin.answers.questions import Question, normalise_subject, split_clauses
from standin.json_body import MALFORMED

_VERB = r"(is called|are called|is named|are named|is|are|was|were)"
_REMEMBER = re.compile(r"^(?:please )?(?:remember|note|keep in mind)(?: that| this)?[:,]?\s+", re.IGNORECASE)
_OWNED = re.compile(rf"\b(my|our|the)\s+((?:[^\s,:]+\s+){{0,6}}?[^\s,:]+)\s+{_VERB}\s+(.+)$", re.IGNORECASE)
_PLAIN = re.compile(rf"^((?:\S+\s+){{0,6}}?\S+)\s+{_VERB}\s+(.+)$", re.IGNORECASE)
_OWNED_VALUE = re.compile(r"^(my|our|the)\s+(.+)$", re.IGNORECASE)
_ASKING = re.compile(r"^(what|who|where|when|why|how|which|is|are|do|does|did|can|could|tell)\b", re.IGNORECASE)
_PRONOUNS = {"this", "that", "it", "there", "i", "you", "he", "she", "they", "we", "here", "these", "those"}


class Fact(msgspec.Struct, frozen=True):
    """ "My name is Ada": owner "my", subject "name", verb "is", value "Ada". A proper name has no owner."""

    owner: str
    subject: str
    verb: str
    value: str


def recall(turns: list[Turn], question: Question) -> str | None:
    """The sentence that answers the question from the newest fact, or None."""
    related = [fact for turn in reversed(turns) for fact in _list_facts(turn) if fact.subject == question.subject]
    same_owner = (fact for fact in related if _is_ours(fact.owner) == _is_ours(question.owner))
    fact = next(same_owner, related[0] if related else None)
    if fact is None:
        return None
    return f"{question.topic[:1].upper()}{question.topic[1:]} {fact.verb} {_to_second_person(fact.value)}."


def list_statements(turn: Turn) -> list[str]:
    """The statements of a turn, in its own words and order; the fields of a JSON tool result as sentences."""
    if turn.role == "tool":
        return [f"The {fact.subject} {fact.verb} {fact.value}." for fact in _read_json(turn.text)]
    clauses = split_clauses(strip_passages(turn.text))
    return [clause for clause in clauses if any(True for _ in _read_clause(clause))]


def states_fact(text: str) -> bool:
    """Whether the text states a fact."""
    return any(True for _ in _list_facts(Turn("user", text)))


def _list_facts(turn: Turn) -> Iterator[Fact]:
    if turn.role == "assistant":
        return
    if turn.role == "tool":
        yield from _read_json(turn.text)
    for clause in reversed(split_clauses(strip_passages(turn.text))):
        yield from _read_clause(clause)


def _read_json(text: str) -> Iterator[Fact]:
    try:
        fields = msgspec.json.decode(text, type=dict[str, object])
    except MALFORMED:
        return
    for name, value in fields.items():
        if isinstance(value, str | int | float):
            yield Fact("the", normalise_subject(name.replace("_", " ")), "is", str(value))


def _read_clause(clause: str) -> Iterator[Fact]:
    said = _REMEMBER.sub("", clause)
    if clause.endswith("?") or _ASKING.match(said):
        return
    is_noted, said = said != clause, said.strip(" .!;,")
    if found := _OWNED.search(said):
        yield Fact(found[1].lower(), normalise_subject(found[2]), found[3].lower(), found[4])
    elif (found := _PLAIN.search(said)) and (is_noted or _is_named(found[1], found[2])):
        yield Fact("", normalise_subject(found[1]), found[2].lower(), found[3])
        if (owned := _OWNED_VALUE.match(found[3])) and found[2].lower() == "is":
            yield Fact(owned[1].lower(), normalise_subject(owned[2]), "is", found[1])


def _is_named(subject: str, verb: str) -> bool:
    """Whether "X is Y" has a name as its subject: "Ada is …", "x is called …", but not "it is …"."""
    return subject.lower() not in _PRONOUNS and (subject[0].isupper() or " " in verb)


def _is_ours(owner: str) -> bool:
    return owner in ("my", "our")


def _to_second_person(value: str) -> str:
    return re.sub(r"^(my|our)\b", "your", value, flags=re.IGNORECASE)

"""Finds what a text asks for: "What is my name, and who is Ada?" asks for "my name" and for "Ada"."""

import re

import msgspec

_CLAUSE = re.compile(
    r"(?<=[.!?;])\s+|\n+|,?\s+(?:and|but)\s+(?=(?:my|our|the|remember|what|who|where|when)\b)|,\s+(?=(?:my|our|the)\b)",
    re.IGNORECASE,
)
_ASK = re.compile(
    r"\b(?:what|who|where|when|which)(?:['’]s|\s+(?:is|are|was|were))\s+(?:(my|our|the)\s+)?(.+?)"
    r"(?:\s+(?:called|named|again|please))?[\s?.!]*$",
    re.IGNORECASE,
)
_TELL = re.compile(
    r"\b(?:tell me|remind me of|do you (?:still )?(?:know|remember|recall)|what did i say)\s+(?:what\s+|who\s+)?"
    r"(my|our|the)\s+(.+?)(?:\s+(?:is|are|was|were))?(?:\s+(?:called|named|again|please))?[\s?.!]*$",
    re.IGNORECASE,
)


class Question(msgspec.Struct, frozen=True):
    """ "What is my name?": owner "my", words "name". A proper name has no owner."""

    owner: str
    words: str

    @property
    def subject(self) -> str:
        """The words as `Fact.subject` has them."""
        return normalise_subject(self.words)

    @property
    def topic(self) -> str:
        """The subject in the answer's words: "your name", "the code", "Ada"."""
        owner = {"my": "your ", "our": "your ", "the": "the "}.get(self.owner, "")
        return owner + self.words


def split_clauses(text: str) -> list[str]:
    """The sentences of a text, split again where a clause stands for itself."""
    return [clause.strip() for clause in _CLAUSE.split(text) if clause and clause.strip()]


def find_questions(text: str) -> list[Question]:
    found = (_ASK.search(clause) or _TELL.search(clause) for clause in split_clauses(text))
    return [Question((match[1] or "").lower(), match[2]) for match in found if match]


def normalise_subject(words: str) -> str:
    """One spelling of a subject: lower case, one space, no quotes, no article."""
    plain = " ".join(re.sub(r"[\"“”«»*`]", "", words).lower().split()).strip(".,:;!?")
    return plain.removeprefix("my ").removeprefix("the ").removeprefix("our ")

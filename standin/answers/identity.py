"""Says what the stand-in is, so that nobody takes it for a language model."""

import re

WHAT_I_AM = (
    "I am the stand-in model of Enhanced Prompt Service: a small program, not a language model. "
    "I repeat, recall and cite what I am given; name a real model in the settings for real answers."
)
_ASKS = re.compile(
    r"\b(who|what) (exactly )?are you\b|\bwhat is your name\b|\bintroduce yourself\b"
    r"|\b(which|what) (language )?model (are you|is this)\b|\bare you (an?|really|chatgpt|gpt|human|real)\b",
    re.IGNORECASE,
)


def asks_identity(text: str) -> bool:
    """Whether the text asks who or what is answering."""
    return bool(_ASKS.search(text))

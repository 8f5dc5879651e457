"""The conversation of every client: the model calls a tool and repeats its result; later it knows a fact.

The clients are unchanged third-party clients; only the address and the key are ours.
"""

from pydantic import BaseModel

MODEL = "stand-in"

# The first turn: a fact for later, and a tool whose result the answer repeats.
FIRST = "My name is Ada. Call get_weather city=Paris"
FIRST_ANSWER = "get_weather returned: 21 degrees in Paris"

# Only with the first turn in the history can the second be answered.
SECOND = "What is my name?"
SECOND_ANSWER = "Your name is Ada."

# With this in a question the stand-in sends reasoning first.
THOUGHT = "Somebody asks me something"
THINKING = f' [[standin reason="{THOUGHT}"]]'


class Answer(BaseModel):
    """An answer as data. The stand-in puts its plain answer into the field of this name."""

    answer: str


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"

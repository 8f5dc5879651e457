"""The conversation that every client has: the model calls a tool and says what it gave, and later still knows who asks.

Each client is somebody else's, unchanged but for the address of the service and a key.
"""

from pydantic import BaseModel

MODEL = "stand-in"

# The first turn: a fact for later, and a tool whose result the answer repeats.
FIRST = "My name is Ada. Call get_weather city=Paris"
FIRST_ANSWER = "get_weather returned: 21 degrees in Paris"

# The second turn can be answered only by who knows the first.
SECOND = "What is my name?"
SECOND_ANSWER = "Your name is Ada."

# Said with a question, it makes the stand-in think aloud first.
THOUGHT = "Somebody asks me something"
THINKING = f' [[standin reason="{THOUGHT}"]]'


class Answer(BaseModel):
    """An answer as data; the stand-in puts its plain answer into the field of this name."""

    answer: str


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"

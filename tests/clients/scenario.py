"""The conversation of every client: the model calls a tool and repeats its result; later it knows a fact.

The clients are unchanged third-party clients; only the address and the key are ours.
"""

import base64

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


# --- What the drivers in `tests/clients/matrix/` are told, each in a process of its own ----------------------------

UNKNOWN_MODEL = "no-such-model"
WRONG_KEY = "wrong"
# Another name of the stand-in, for a client that remembers by `previous_response_id` only with a model of OpenAI's.
ALIAS = "gpt-5"

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

WORDS = {
    "first": FIRST,
    "second": SECOND,
    "fact": "My name is Ada.",
    # Longer than a driver may take: who asks again while it is written must not wait for its end.
    "slow": "write 4000 words [[standin token_s=0.05]]",
    # Some clients ask for data by a schema, others by a tool: the stand-in puts what is quoted into both.
    "data": f'{FIRST.partition(".")[0]}. {SECOND} answer="{SECOND_ANSWER}"',
    "look": "What do you see?",
    "image": base64.b64decode(PIXEL).hex(),
    "image_base64": PIXEL,
    "unknown_model": UNKNOWN_MODEL,
    "wrong_key": WRONG_KEY,
    "alias": ALIAS,
}

"""llm, as a library: a model that its configuration file adds."""

import os
from pathlib import Path
from tempfile import mkdtemp

from pydantic import BaseModel
from report import API_KEY, BASE_URL, IMAGE, MODEL, WORDS, get_weather, run

CONFIGURATION = """
- model_id: my-server
  model_name: MODEL
  api_base: BASE_URL
  api_key_name: my-server
  responses: true
  vision: true
  supports_tools: true
  supports_schema: true
- model_id: unknown
  model_name: UNKNOWN
  api_base: BASE_URL
  api_key_name: my-server
  responses: true
"""

directory = Path(mkdtemp())
os.environ["LLM_USER_PATH"] = str(directory)
names = {"BASE_URL": BASE_URL, "UNKNOWN": WORDS["unknown_model"], "MODEL": MODEL}
for name, value in names.items():
    CONFIGURATION = CONFIGURATION.replace(f": {name}\n", f": {value}\n")
(directory / "extra-openai-models.yaml").write_text(CONFIGURATION)

import llm


class Answer(BaseModel):
    """An answer as data."""

    answer: str


class Talk:
    """A conversation that the library remembers."""

    def __init__(self, model: str = "my-server", key: str = API_KEY) -> None:
        self._conversation = llm.get_async_model(model).conversation()
        self._key = key

    async def ask(self, words: str) -> str:
        chain = self._conversation.chain(words, tools=[get_weather], key=self._key)
        return "".join([chunk async for chunk in chain])

    async def leave(self, words: str) -> None:
        async for _ in self._conversation.prompt(words, key=self._key):
            break


async def get_data() -> str:
    response = await llm.get_async_model("my-server").prompt(WORDS["data"], schema=Answer, key=API_KEY)
    return Answer.model_validate_json(await response.text()).answer


async def show_image() -> str:
    image = llm.Attachment(type="image/png", content=IMAGE)
    return await llm.get_async_model("my-server").prompt(WORDS["look"], attachments=[image], key=API_KEY).text()


async def ask_unknown_model() -> str:
    return await llm.get_async_model("unknown").prompt(WORDS["fact"], key=API_KEY).text()


run(
    ways={"own history": Talk},
    steps={
        "data": get_data,
        "image": show_image,
        "unknown model": ask_unknown_model,
        "wrong key": lambda: Talk(key=WORDS["wrong_key"]).ask(WORDS["fact"]),
    },
)

"""Strands Agents: an agent with a tool."""

from pydantic import BaseModel
from report import API_KEY, BASE_URL, IMAGE, MODEL, WORDS, get_weather, run
from strands import Agent, tool
from strands.models.openai_responses import OpenAIResponsesModel

server = {"base_url": BASE_URL, "api_key": API_KEY}
model = OpenAIResponsesModel(server, model_id=MODEL)
remembering = OpenAIResponsesModel(server, model_id=MODEL, stateful=True)


class Answer(BaseModel):
    """An answer as data."""

    answer: str


class Talk:
    """A conversation, remembered by the agent or, with a model that is `stateful`, by the server."""

    def __init__(self, model: OpenAIResponsesModel) -> None:
        self._agent = Agent(model, tools=[tool(get_weather)], callback_handler=None)

    async def ask(self, words: str) -> str:
        return "".join([event["data"] async for event in self._agent.stream_async(words) if "data" in event])

    async def leave(self, words: str) -> None:
        stream = self._agent.stream_async(words)
        async for event in stream:
            if "data" in event:
                break
        await stream.aclose()


async def get_data() -> str:
    result = await Agent(model, callback_handler=None).invoke_async(WORDS["data"], structured_output_model=Answer)
    return result.structured_output.answer


async def show_image() -> str:
    return await Talk(model).ask([{"text": WORDS["look"]}, {"image": {"format": "png", "source": {"bytes": IMAGE}}}])


async def ask_unknown_model() -> str:
    return await Talk(OpenAIResponsesModel(server, model_id=WORDS["unknown_model"])).ask(WORDS["fact"])


async def use_wrong_key() -> str:
    return await Talk(OpenAIResponsesModel({**server, "api_key": WORDS["wrong_key"]}, model_id=MODEL)).ask(
        WORDS["fact"]
    )


run(
    ways={"own history": lambda: Talk(model), "previous_response_id": lambda: Talk(remembering)},
    steps={"data": get_data, "image": show_image, "unknown model": ask_unknown_model, "wrong key": use_wrong_key},
)

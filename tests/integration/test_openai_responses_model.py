"""`OpenAIResponsesModel` against the stand-in: what only this protocol has. `tests/contract` has the rest."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from openai import AsyncOpenAI

from prompts.adapters.openai.continuation import INSTRUCTION
from prompts.adapters.openai.http_client import ModelServerClient
from prompts.adapters.openai.responses_model import OpenAIResponsesModel
from prompts.adapters.openai.streams import Patience
from prompts.domain.items import Item, Reasoning, SummaryText
from prompts.domain.signals import Finished, Sealed, Summarized, Text, Thought
from prompts.domain.text import ReasoningConfig
from prompts.errors import InvalidPrompt, PromptTooLong, RateLimited, ServiceError, UpstreamError
from tests.support.items import returned, said
from tests.support.model_asker import Asker
from tests.support.model_calls import ModelCalls
from tests.support.servers import StandinServer

LINES = "repeat: One — zwei drei\n\n* 四つ 🌊🌊 five\r\n\n\tsix  seven 👩‍👩‍👧 é\n```\nend"


@pytest.fixture
async def asker(standin: StandinServer) -> AsyncIterator[Asker]:
    """An asker of the adapter in front of the stand-in."""
    async with open_asker(standin.base_url) as opened:
        yield opened


@asynccontextmanager
async def open_asker(base_url: str) -> AsyncIterator[Asker]:
    """The adapter as `config.clients` makes it."""
    async with AsyncOpenAI(base_url=base_url, api_key="key", http_client=ModelServerClient()) as client:
        yield Asker(OpenAIResponsesModel(client, Patience(connect_s=1, first_token_s=2, silence_s=2)))


async def test_it_asks_a_server_that_keeps_nothing(asker: Asker, model_calls: ModelCalls) -> None:
    assert (await asker.ask(said("system", "Be brief."), "count to 3")).text == "1 2 3"
    body = await model_calls.get_body("count to 3")
    assert (body["store"], body["instructions"], len(body["input"])) == (False, "Be brief.", 1)


THINK = 'count to 3 [[standin reason="Ada is a name." summary="A name."]]'
SUMMED_UP = ReasoningConfig(effort="low", summary="auto")


async def test_thoughts_their_summary_and_their_seal(asker: Asker) -> None:
    heard = await asker.ask(THINK, reasoning=SUMMED_UP, wants_encrypted_reasoning=True)
    kinds = list(dict.fromkeys(type(signal) for signal in heard.signals))
    assert kinds == [Summarized, Thought, Sealed, Text, Finished]
    assert "".join(signal.text for signal in heard.signals if isinstance(signal, Summarized)) == "A name."


async def make_seal(asker: Asker) -> str:
    """Reasoning sealed by the model's own server."""
    heard = await asker.ask(THINK, reasoning=SUMMED_UP, wants_encrypted_reasoning=True)
    [sealed] = [signal.encrypted_content for signal in heard.signals if isinstance(signal, Sealed)]
    return sealed


async def test_a_sealed_thought_goes_back_to_the_model(asker: Asker, model_calls: ModelCalls) -> None:
    sealed = await make_seal(asker)
    await model_calls.forget()
    assert (await asker.ask(*compose_window(sealed), "count to 2")).text == "1 2"
    [body] = await model_calls.list_bodies()
    assert [item["type"] for item in body["input"]] == ["message", "reasoning", "message", "message"]
    assert body["input"][1]["encrypted_content"] == sealed


def compose_window(sealed: str) -> Sequence[Item]:
    """A turn in which the model reasoned."""
    thought = Reasoning("rs_1", "completed", [SummaryText("A name.")], encrypted_content=sealed)
    return [said("user", THINK), thought, said("assistant", "1 2 3")]


async def test_a_seal_that_the_model_refuses_does_not_end_the_conversation(
    asker: Asker, model_calls: ModelCalls
) -> None:
    window = compose_window("made elsewhere")
    assert (await asker.ask(*window, "count to 2")).text == "1 2"
    assert (await asker.ask(*window, "count to 2", truncation="auto")).text == "1 2"
    assert (await asker.ask(*window, "count to 2", shown="1 ")).text == "2"
    has_thoughts = ["reasoning" in [item["type"] for item in body["input"]] for body in await model_calls.list_bodies()]
    assert has_thoughts == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("directive", "kind", "count"),
    [("status=400", InvalidPrompt, 2), ("status=400 code=context_length_exceeded", PromptTooLong, 1)],
)
async def test_what_is_refused_without_thoughts_too_is_invalid(
    asker: Asker, model_calls: ModelCalls, directive: str, kind: type[ServiceError], count: int
) -> None:
    window = compose_window(await make_seal(asker))
    await model_calls.forget()
    heard = await asker.try_to_ask(*window, f"Hi [[standin {directive}]]")
    assert type(heard.error) is kind
    assert len(await model_calls.list_bodies()) == count


async def test_an_output_without_its_call_is_refused_once(asker: Asker, model_calls: ModelCalls) -> None:
    heard = await asker.try_to_ask(returned("call_1", "noon"), "Hi")
    assert type(heard.error) is InvalidPrompt
    assert len(await model_calls.list_bodies()) == 1


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        ("error_after=3 code=invalid_prompt", InvalidPrompt),
        ("failed_after=3", UpstreamError),
        ("failed_after=3 code=rate_limit_exceeded", RateLimited),
        ("failed_after=3 code=invalid_prompt", InvalidPrompt),
    ],
)
async def test_a_response_that_fails_says_why(asker: Asker, trouble: str, kind: type[ServiceError]) -> None:
    heard = await asker.try_to_ask(f"count to 5 [[standin {trouble}]]")
    assert type(heard.error) is kind
    assert heard.text == "1 2 3"


@pytest.mark.parametrize("directives", ["", " [[standin echo_prefix]]", " [[standin no_prefix]]"])
async def test_lines_cut_anywhere_are_continued_exactly(asker: Asker, directives: str) -> None:
    # The directives come first: `repeat:` takes everything to the end of the message.
    question = f"{directives} {LINES}"
    whole = (await asker.ask(question)).text
    assert len(whole) > 50
    for cut in range(1, len(whole) + 1, 3):
        assert whole[:cut] + (await asker.ask(question, shown=whole[:cut])).text == whole, whole[:cut]


async def test_the_unfinished_message_stays_open_or_is_followed_by_words(asker: Asker, model_calls: ModelCalls) -> None:
    for _ in range(2):
        assert (await asker.ask("count to 5 [[standin no_prefix]]", shown="1 2 ")).text == "3 4 5"
    opened, *asked = await model_calls.list_bodies()
    assert (opened["input"][-1]["role"], opened["input"][-1]["status"]) == ("assistant", "in_progress")
    assert len(asked) == 2
    for body in asked:
        assert [item["role"] for item in body["input"]] == ["user", "assistant", "user"]
        assert INSTRUCTION in str(body["input"][-1])


async def test_an_answer_that_has_little_room_left_is_continued(asker: Asker) -> None:
    assert (await asker.ask("count to 5", shown="1 2 3 ", max_output_tokens=2)).text == "4 5"


HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
HI = b'data: {"type":"response.output_text.delta","delta":"Hi"}\n\n'
END = b'data: {"type":"response.completed","response":{"status":"completed"}}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("parts", [[HI + END], [HI + END, DONE], [HI + END + DONE]])
async def test_answers_that_end_share_a_connection(parts: list[bytes]) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"content-length: (\d+)", head.lower())
                assert length is not None
                await reader.readexactly(int(length[1]))
                writer.write(HEADERS)
                for part in parts:  # one at a time: bytes after the end may come later than the end
                    writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                    await writer.drain()
                    await asyncio.sleep(0.005)
                writer.write(b"0\r\n\r\n")
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with open_asker(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1") as asker:
        for _ in range(4):
            assert (await asker.ask("Hello")).signals == [Text("Hi"), Finished("stop")]
    server.close()
    assert connections == 1

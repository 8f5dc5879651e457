"""Going on with an answer that another replica began: how it is asked for, and what of what comes is new.

The text stands as the last message, left open; where an endpoint refuses that (HTTP 400 or 422), a message that asks to
go on follows it. What the servers want, looked up in autumn 2026:

    vLLM, SGLang, TGI    `continue_final_message: true`, and vLLM `add_generation_prompt: false` with it; fields they do
                         not know are ignored (vllm/entrypoints/openai/chat_completion/protocol.py, sglang/srt/
                         entrypoints/openai/protocol.py, huggingface/text-generation-inference#2733)
    llama.cpp            the same since ggml-org/llama.cpp#23012, before that any last message of the assistant's; an
                         echo only if asked for since #23089. 400 where the template begins by thinking (#20861)
    Mistral              `prefix: true` on the message, and says it again (vercel/ai#3256); 400 to a last message that
                         lacks it (microsoft/autogen#5044), 422 to unknown fields (mistralai/platform-docs-public#7)
    DeepSeek             `prefix: true`, below /beta only (https://api-docs.deepseek.com/guides/chat_prefix_completion)
    LiteLLM              gives fields it does not know to the provider behind it (BerriAI/litellm#10791)
    Ollama               ignores the fields; whether a last message is left open is its template's affair
    Anthropic            ignores the fields; 400 to a last message that ends in white space (vercel/ai#2124), and since
                         4.6 to any of the assistant's (https://platform.claude.com/docs/en/about-claude/models)
    OpenAI, Azure        400 to fields it does not know (open-webui/open-webui#14520); without them, a new turn

In the Responses protocol no field asks for it. vLLM leaves a last message open whose status is `in_progress`
(vllm-project/vllm#32100), llama.cpp any that is the assistant's (ggml-org/llama.cpp#13174); OpenAI opens a new turn.

The same refusal means "not like this" and "not at all", so what a refusing endpoint might take instead is not guessed:
vLLM would open a new turn behind a last message that is only marked. A server that ignores the fields and closes the
message all the same begins its answer anew; nothing tells us that.
"""

from collections.abc import Sequence
from enum import Enum
from typing import assert_never
from urllib.parse import urlsplit

from prompts.domain.signals import (
    Argued,
    BegunAnew,
    Called,
    CalledTool,
    Compacted,
    Finished,
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

# Short, and of words that any model follows. The space: a model that begins a message likes to leave it out.
INSTRUCTION = (
    "Your last message broke off. Continue it exactly where it stopped, even in the middle of a word or a line: write "
    "only what comes next, with the space or line break in front that belongs there. Repeat nothing of it, and do not "
    "remark on this."
)


class Way(Enum):
    """How to ask for the rest of an answer."""

    OPEN = "open"  # its text as the last message, and the request's fields that leave it open
    MARKED = "marked"  # the same, with a mark on the message instead
    ASKED = "asked"  # its text as a message, and one that asks to go on
    ANEW = "anew"  # nothing but white space was shown: there is nothing to go on from


# The endpoints that are known to want it otherwise, the more specific address first.
_KNOWN = {
    "https://api.openai.com/": (Way.ASKED,),
    "https://api.mistral.ai/": (Way.MARKED, Way.ASKED),
    "https://api.deepseek.com/beta": (Way.MARKED, Way.ASKED),
    "https://api.deepseek.com/": (Way.ASKED,),
}


# Every resource of Azure's has a host of its own (https://learn.microsoft.com/azure/ai-foundry/openai/reference).
_AZURE = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")


class Ways:
    """The ways an endpoint takes, model by model. Only a memo: another process finds out for itself."""

    def __init__(self, base_url: str) -> None:
        is_azure = (urlsplit(base_url).hostname or "").endswith(_AZURE)
        known = (ways for url, ways in _KNOWN.items() if base_url.startswith(url))
        self._ways = (Way.ASKED,) if is_azure else next(known, (Way.OPEN, Way.ASKED))
        self._accepted: dict[str, Way] = {}

    def list_for(self, model: str, prefix: str) -> Sequence[Way]:
        """The ways still worth trying, best first."""
        if not prefix:
            return (Way.ANEW,)
        accepted = self._accepted.get(model)
        return self._ways[self._ways.index(accepted) :] if accepted else self._ways

    def accept(self, model: str, way: Way) -> None:
        """This way was taken: those before it were refused for themselves, and not for what the messages say."""
        if way in self._ways[1:]:
            self._accepted[model] = way


def get_prefix(shown: str) -> str:
    """What of the shown text is sent: all but the white space it ends in.

    Templates trim it, some servers refuse it, and a model goes on badly after it: its tokens begin with their space.
    """
    return shown.rstrip()


class NewText:
    """Of what a model says after a text was shown, what is new: that text and this, put together, read as one.

    A server may send the prefix again before it goes on, whole or without the white space it begins with; this echo is
    held back for as long as it may be one, and dropped when it is complete. Then the white space that the shown text
    ends in is dropped, once, as far as it comes: it was not sent, so most models bring it, and some do not.

    It cannot be told from an echo when a model really writes its whole answer a second time ("ha", then "haha"), nor
    the white space that was shown already from more of the same that follows it.
    """

    def __init__(self, shown: str) -> None:
        self._echo = get_prefix(shown)
        self._seam = shown[len(self._echo) :]
        self._echoed = 0
        self.has_begun = False
        """Whether the model has said anything, be it an echo."""

    def take(self, signals: Sequence[Signal]) -> list[Signal]:
        """What of these signals is new, in their order."""
        new: list[Signal] = []
        for signal in signals:
            match signal:
                case Thought() | Summarized() | Sealed() | Opened():
                    pass  # of an answer whose text has begun nothing is thought any more
                case Called() | CalledTool() | Argued():
                    new += [*self._give_back(), signal]
                    self.has_begun = True
                case Text():
                    new += self._take_text(signal)
                case Refused():
                    new += [*self._give_back(), signal]
                    self.has_begun = True
                case Finished(reason):
                    # What is held was meant when the model stopped by itself, say at a quote as the answer began with;
                    # one that was cut off was on its way through an echo.
                    new += [*(self._give_back() if reason == "stop" else ()), signal]
                case Compacted() | RoundEnded() | HostedReturned() | BegunAnew():
                    raise AssertionError("no model says this")
                case _:
                    assert_never(signal)
        return new

    def _take_text(self, signal: Text) -> list[Signal]:
        """The new text; its likelihoods go with it only when all of it is new, for a token may lie across the seam."""
        text = signal.text
        if not text:
            return []
        if not self.has_begun and not text[0].isspace():
            self._echo = self._echo.lstrip()
        self.has_begun = True
        rest = self._drop_seam(self._drop_echo(text))
        if rest == text:
            return [signal]
        return [Text(rest)] if rest else []

    def _drop_echo(self, text: str) -> str:
        """What of the text is behind the echo; all that was held and the text when it turns out to be none."""
        expected = self._echo[self._echoed : self._echoed + len(text)]
        if text.startswith(expected):
            self._echoed += len(expected)
            if self._echoed == len(self._echo):
                self._end_echo()
            return text[len(expected) :]
        held = self._echo[: self._echoed]
        self._end_echo()
        return held + text

    def _drop_seam(self, text: str) -> str:
        count = 0
        while count < min(len(text), len(self._seam)) and text[count] == self._seam[count]:
            count += 1
        if text:
            self._seam = self._seam[count:] if count == len(text) else ""
        return text[count:]

    def _give_back(self) -> list[Signal]:
        held = self._drop_seam(self._echo[: self._echoed])
        self._end_echo()
        return [Text(held)] if held else []

    def _end_echo(self) -> None:
        self._echo, self._echoed = "", 0

"""Pure: a conversation as Markdown, for people.

Whatever somebody said or a function gave stands in a quote, line by line, and only our own headings stand outside one:
no text can pass for another speaker's. Nor can it leave its quote as HTML, which many viewers let through.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote

from msgspec import UNSET

from prompts.domain.conversations import Conversation
from prompts.domain.items import (
    Compaction,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    Item,
    ItemStatus,
    Message,
    Part,
    Reasoning,
    Refusal,
)

# Where HTML could begin; the other less-than signs are left to be read.
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
# In a line that is ours: what would make it anything but words.
_SPECIAL = re.compile(r"[\\`\[\]<>&]")
_BACKTICKS = re.compile(r"`+")
_MIN_FENCE = 3
# What a URL may hold as it is, inside of <…>.
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~"


def render_title(conversation: Conversation) -> str:
    """The beginning of the document."""
    begun = datetime.fromtimestamp(conversation.created_at, UTC).strftime("%Y-%m-%d %H:%M")
    return f"# {_words(conversation.title or conversation.id)}\n\n{conversation.id}, begun {begun} UTC\n"


def render_item(item: Item) -> Iterator[str]:
    """One item, a line at a time: what it is as a heading, and what it holds as a quote."""
    match item:
        case Message(role=role, status=status, content=content):
            yield f"\n## {role.capitalize()}{_unfinished(status)}\n\n"
            yield from _apart(_part(part) for part in content)
        case FunctionCall(name=name, status=status, arguments=arguments):
            yield f"\n### Called {_words(name)}{_unfinished(status)}\n\n"
            yield from _code(arguments)
        case FunctionCallOutput(output=str(output)):
            yield "\n### It gave\n\n"
            yield from _code(output)
        case FunctionCallOutput(output=list(parts)):
            yield "\n### It gave\n\n"
            yield from _apart(_part(part) for part in parts)
        case Reasoning(summary=summary, content=content, status=status):
            thoughts = [part.text for part in (*summary, *(content or ()))]
            if thoughts:  # some are sealed as a whole
                yield f"\n### Thought{_unfinished(status)}\n\n"
                yield from _apart(_text(thought) for thought in thoughts)
        case Compaction():
            yield "\n### What was said before was summed up for the model\n"


def _apart(quotes: Iterable[Iterator[str]]) -> Iterator[str]:
    """Several in one quote, an empty line between them."""
    for index, lines in enumerate(quotes):
        if index:
            yield ">\n"
        yield from lines


def _part(part: Part) -> Iterator[str]:
    match part:
        case InputImage(image_url=url):
            yield _link("Image", url)
        case InputFile(filename=name, file_url=url):
            yield _link("File" if name is UNSET else f"File {_words(name)}", "" if url is UNSET else url)
        case Refusal(refusal):
            yield from _text(refusal)
        case _:
            yield from _text(part.text)


def _text(text: str) -> Iterator[str]:
    # All that anybody takes for the end of a line, or a line could begin in the middle of one.
    for line in text.splitlines() or [""]:
        yield _quoted(_TAG.sub("&lt;", line))


def _code(text: str) -> Iterator[str]:
    """As it is, in a fence that nothing in it can close."""
    longest = max(map(len, _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(_MIN_FENCE, longest + 1)
    for line in (fence, *text.splitlines(), fence):
        yield _quoted(line)


def _link(words: str, url: str) -> str:
    if url.lower().startswith(("http:", "https:")):
        return _quoted(f"[{words}](<{quote(url, safe=_URL_CHARACTERS)}>)")
    return _quoted(f"{words}, sent along: the export as JSON holds it")


def _quoted(line: str) -> str:
    return f"> {line}\n" if line else ">\n"


def _words(text: str) -> str:
    """A client's own words in a line of ours: one line, and nothing but words."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def _unfinished(status: ItemStatus) -> str:
    return "" if status == "completed" else f" ({status.replace('_', ' ')})"

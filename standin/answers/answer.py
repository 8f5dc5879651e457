"""What the stand-in says: a pure function of a request and its directives.

It never guesses. In this order: it refuses when told to, sums up a transcript or the conversation, calls tools, writes
what it is told to write, answers from numbered passages and from facts, says so when it was told nothing, and otherwise
says what it is and what it heard.
"""

from collections.abc import Sequence

import msgspec

from standin.answers.attachments import find_attachment_report
from standin.answers.continuation import continue_answer
from standin.answers.conversation import Turn, compute_fingerprint, get_question, read_turns, split_continuation
from standin.answers.facts import recall, states_fact
from standin.answers.identity import WHAT_I_AM, asks_identity
from standin.answers.message_values import MessageValues
from standin.answers.passages import answer_from_passages, find_passages, strip_passages
from standin.answers.questions import find_questions
from standin.answers.tool_calls import find_calls
from standin.answers.transcript_summary import asks_handoff, asks_summary, summarise, summarise_turns
from standin.answers.writing_tasks import find_requested_text
from standin.chat_completions.request import Call, ChatRequest, Message, ResponseFormat
from standin.control.directives import Directives
from standin.json_schema.value_maker import ValueMaker

_REFUSAL = "I was told to refuse, so I will not answer that."
_ANSWER_NAMES = ("answer", "text", "content", "message", "reply", "response", "summary", "title")


class Answer(msgspec.Struct, frozen=True):
    """Everything to say to one request, before limits apply."""

    text: str = ""
    summary: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = "stop"


def compose_answer(request: ChatRequest, directives: Directives) -> Answer:
    """The answer to a request. To a continuation: the part of that answer that is still missing."""
    base, prefix = split_continuation(request.messages)
    answer = _compose_whole(request, base, directives)
    answer = msgspec.structs.replace(answer, text=_cut_at_stop(answer.text, request.stop))
    if prefix is not None:
        rest = continue_answer(answer.text, prefix, echoes=directives.echo_prefix)
        answer = msgspec.structs.replace(answer, text=rest, reasoning="", summary="")
    return msgspec.structs.replace(answer, finish=directives.finish or answer.finish)


def _compose_whole(request: ChatRequest, base: list[Message], directives: Directives) -> Answer:
    turns = read_turns(base)
    thought = Answer(reasoning=directives.reason, summary=directives.summary)
    if directives.refuse:
        return msgspec.structs.replace(thought, refusal=_REFUSAL)
    if asks_summary(turns):
        return msgspec.structs.replace(thought, text=summarise(get_question(turns)))
    if asks_handoff(turns):
        return msgspec.structs.replace(thought, text=summarise_turns(turns[:-1]))
    if turns[-1:] and turns[-1].role != "tool":
        calls = find_calls(request, get_question(turns), compute_fingerprint(base))
        if calls:
            calls = tuple(map(_drop_last_character, calls)) if directives.bad_json else calls
            return msgspec.structs.replace(thought, calls=calls, finish="tool_calls")
    text = _apply_format(_compose_text(turns), turns, request.response_format)
    is_truncated = directives.bad_json and request.response_format is not None
    return msgspec.structs.replace(thought, text=text[:-1] if is_truncated else text)


def _drop_last_character(call: Call) -> Call:
    """The call with arguments that lack their last character, so that they are no valid JSON."""
    function = msgspec.structs.replace(call.function, arguments=call.function.arguments[:-1])
    return msgspec.structs.replace(call, function=function)


def _compose_text(turns: list[Turn]) -> str:
    said = get_question(turns)
    stripped = strip_passages(said)
    question = stripped.strip()
    asked = stripped if "</passages>" in said else said
    written = find_requested_text(asked)
    if written is None:
        written = find_attachment_report(asked, [one for turn in turns for one in turn.attachments])
    passages = find_passages(turns)
    results = _list_results(turns)
    if results and not passages:
        told = [f"{turn.tool or 'The tool'} returned: {turn.text.strip()}" for turn in results]
        return "\n".join([*told, written] if written else told)
    if written is not None:
        return written
    if asks_identity(question):
        return WHAT_I_AM
    is_only_told = states_fact(question) and not find_questions(question)
    if passages and not is_only_told:
        return _answer_questions(turns, question) or answer_from_passages(passages, question)
    return _answer_questions(turns, question, admits=True) or _echo(turns, question)


def _list_results(turns: list[Turn]) -> list[Turn]:
    """The tool results at the end of the conversation, in order."""
    count = next((place for place, turn in enumerate(reversed(turns)) if turn.role != "tool"), len(turns))
    return turns[len(turns) - count :]


def _answer_questions(turns: list[Turn], text: str, *, admits: bool = False) -> str:
    """The answers to all questions in the text; with `admits`, also which of them it cannot answer."""
    answers = []
    for question in find_questions(text):
        unknown = f"I do not know {question.topic}: nobody told me in this conversation." if admits else None
        answers.append(recall(turns, question) or unknown)
    return " ".join(answer for answer in answers if answer)


def _echo(turns: list[Turn], said: str) -> str:
    count = f"{len(turns)} message{'' if len(turns) == 1 else 's'}"
    heard = f"You said: {said}\n\n" if said else ""
    return f"{heard}{WHAT_I_AM} I see {count} in this conversation."


def _apply_format(text: str, turns: list[Turn], form: ResponseFormat | None) -> str:
    """The text in the format that was requested."""
    if form is None or form.type == "text":
        return text
    if form.json_schema is None:
        return msgspec.json.encode({"answer": text}).decode()
    texts = dict.fromkeys(_ANSWER_NAMES, text)
    maker = ValueMaker(form.json_schema.schema, MessageValues(get_question(turns)), texts, is_full=True)
    return msgspec.json.encode(maker.make()).decode()


def _cut_at_stop(text: str, stop: str | Sequence[str] | None) -> str:
    """The text before the first stop sequence."""
    stops = [stop] if isinstance(stop, str) else stop or []
    places = [text.find(one) for one in stops if one and one in text]
    return text[: min(places)] if places else text

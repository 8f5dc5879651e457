"""The stand-in recalls facts it was told, and says when it was not told."""

import pytest

from tests.unit.standin.asking import Said, ask


@pytest.mark.parametrize(
    ("told", "question", "answer"),
    [
        ("My name is Ada.", "What is my name?", "Your name is Ada."),
        ("Hi, my name is Ada and my dog is called Rex.", "What's my dog called?", "Your dog is called Rex."),
        ("My favourite tea is earl grey!", "Do you remember my favourite tea?", "Your favourite tea is earl grey."),
        ("The code is 3.14, thanks", "what is the code", "The code is 3.14, thanks."),
        ("Please remember that the capital of Atlantis is Poseidonis.", "What is the capital of Atlantis?",
         "The capital of Atlantis is Poseidonis."),
        ("Remember: x is 42", "What is x?", "X is 42."),
        ("Our project is called Apollo", "What is our project called?", "Your project is called Apollo."),
        ("Ada is my sister.", "Who is Ada?", "Ada is your sister."),
        ("Bob is the manager.", "Who is the manager?", "The manager is Bob."),
        ("Mein Hund heißt Rex. My straße is Lange Straße.", "What is my straße?", "Your straße is Lange Straße."),
    ],
)  # fmt: skip
def test_it_recalls_what_it_was_told(told: str, question: str, answer: str) -> None:
    assert ask(told, ("assistant", "I see."), question) == answer


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_facts_may_come_from_anybody_but_the_assistant(role: str) -> None:
    assert ask((role, "The code word is swordfish."), "What is the code word?") == "The code word is swordfish."


def test_what_the_assistant_said_is_no_fact() -> None:
    answer = ask("Hello", ("assistant", "The code word is swordfish."), "What is the code word?")
    assert answer == "I do not know the code word: nobody told me in this conversation."


def test_newest_fact_wins() -> None:
    assert ask("My name is Ada.", "No, my name is Eve.", "What is my name?") == "Your name is Eve."


def test_fact_and_question_may_share_a_message() -> None:
    assert ask("My name is Ada. What is my name?") == "Your name is Ada."


def test_two_questions_get_two_answers() -> None:
    answer = ask("My name is Ada.", "What is my name and what is my age?")
    assert answer == "Your name is Ada. I do not know your age: nobody told me in this conversation."


@pytest.mark.parametrize("result", ['{"room_temperature": 20, "more": [1]}', "the room temperature is 20."])
def test_tool_results_are_facts(result: str) -> None:
    call = {"id": "call_1", "function": {"name": "measure", "arguments": "{}"}}
    said: list[Said] = [
        "How warm?",
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": result},
        "What is the room temperature?",
    ]
    assert ask(*said) == "The room temperature is 20."


def test_a_question_is_no_fact() -> None:
    assert ask("Is my name Ada?", "What is my name?").startswith("I do not know your name")


def test_facts_survive_a_directive() -> None:
    assert (
        ask("My name is Ada. [[standin token_s=1]]", "What is my name? [[standin cut_after=3]]") == "Your name is Ada."
    )


def test_a_handoff_summary_keeps_what_users_and_tools_said() -> None:
    call = {"id": "call_1", "function": {"name": "measure", "arguments": "{}"}}
    said: list[Said] = [
        ("system", "The building is old."),
        "My name is Ada. How warm?",
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"temperature": 20}'},
        ("assistant", "My name is Bob."),
        "Create a handoff summary for another LLM that will resume the task.",
    ]
    assert ask(*said).split("\n") == [
        "My name is Ada.",
        'measure returned: {"temperature": 20}',
        "The temperature is 20.",
    ]

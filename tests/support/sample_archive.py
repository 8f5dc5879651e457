"""Conversations that show what a transcript can hold."""

from typing import Any

from tests.support.archived import answer, new_chain_id, new_conversation_id, say

LEASE = "The notice period for the Berlin office is three months, counted from the end of a month."
RENT = "The rent is due on the third of each month. A reminder is sent on the fifth."
ANSWER = "The notice period is three months. It is counted from the end of the month in which you give notice."


def build_sample() -> list[dict[str, Any]]:
    """A conversation about a lease with citations, calls, a failure and feedback; its fork; small ones; a chain."""
    lease = new_conversation_id()
    cites = [
        {"type": "file_citation", "file_id": "file-1", "filename": "lease.md", "index": 34, "eps:passage": 1},
        {"type": "file_citation", "file_id": "file-1", "filename": "lease.md", "index": len(ANSWER), "eps:passage": 1},
    ]
    cited = say("assistant", ANSWER)
    cited["content"][0]["annotations"] = cites
    passages = [
        {"index": 1, "filename": "lease.md", "heading": "Berlin office", "score": 0.91, "text": LEASE},
        {"index": 2, "filename": "lease.md", "heading": "Rent", "page": 2, "score": 0.42, "text": RENT},
    ]
    said = [
        say("user", "What is the notice period for the Berlin office?"),
        answer(
            [
                {"type": "file_search_call", "status": "completed", "queries": ["notice period Berlin"]},
                cited,
            ],
            passages=passages,
            prompt_id="pmpt_lease",
            prompt_version="3",
            feedback_score=1,
            feedback_comment="Exactly what I needed.",
            result={"eps:ignored": ["tools[0].cache"], "eps:model_input": {"history_items": 0, "input_items": 1}},
        ),
        say("user", "And what is the weather there today?"),
        answer(
            [
                {
                    "type": "reasoning",
                    "summary": [{"type": "summary_text", "text": "They want weather."}],
                },
                {
                    "type": "function_call",
                    "status": "completed",
                    "call_id": "call_1",
                    "name": "get_weather",
                    "arguments": '{"city": "Berlin", "unit": "celsius"}',
                },
            ]
        ),
        {
            "type": "function_call_output",
            "status": "completed",
            "call_id": "call_1",
            "output": "7 °C, rain",
        },
        answer(
            [say("assistant", "It is **7 °C** and raining:\n\n* take an umbrella\n* `umbrella.open()`")],
            cached_tokens=80,
        ),
        answer(
            [],
            status="failed",
            error_code="server_error",
            error_message="The model's server ended the stream before the answer was whole.",
            input=[say("user", "Will it stay like that?")],
        ),
    ]
    sample = [{"id": lease, "title": "Notice period in Berlin", "said": said, "metadata": {"ticket": "4711"}}]
    more = [say("user", "Now in French, please."), answer([say("assistant", "Le préavis est de trois mois.")])]
    sample.append({"id": new_conversation_id(), "title": "", "forked_from": lease, "said": more})
    for number, title in enumerate(("Invoices of March", "How do I book a room?", "Quadratic equations", "")):
        talk = [
            say("user", f"{title or 'Good morning'}: can you help me with number {number}?"),
            answer(
                [say("assistant", "Of course.")], status=("completed", "incomplete", "cancelled", "completed")[number]
            ),
        ]
        sample.append(
            {"id": new_conversation_id(), "title": title, "owner": ("bob", "user:7")[number % 2], "said": talk}
        )
    said = [
        say("user", "Translate: der Zwetschgenkuchen"),
        answer([say("assistant", "The plum cake.")]),
        say("user", "And in the plural?"),
        answer([say("assistant", "The plum cakes.")], feedback_score=1),
    ]
    sample.append({"id": new_chain_id(), "said": said})
    return sample

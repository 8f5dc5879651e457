"""`manage.py make_archive`: what nobody said, to try the archive's pages and their speed with."""

import json
import random
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone
from typing_extensions import override

from prompts.domain import ids
from prompts.models import ArchivedChain, ArchivedConversation, ArchivedItem, ArchivedResponse, ArchivedTimeline

ITEMS_A_CONVERSATION = 10
# Of so many histories one is a chain of responses.
A_CHAIN_IN = 4
CONVERSATIONS_A_BATCH = 1_000
ROWS_A_STATEMENT = 500
DAYS = 90
OWNERS = [f"sample-{number}" for number in range(40)]
MODELS = ["gpt-5-mini", "gpt-5", "qwen3-32b", "llama-3.3-70b"]
STATUSES = ["completed"] * 46 + ["incomplete"] * 2 + ["cancelled"] * 1 + ["failed"] * 1
ERROR = "server_error"
WORDS = (
    "lease notice rent office invoice meeting room travel contract salary holiday project budget report customer "
    "delivery order return price offer question answer please when where how much many could would first second month "
    "year week today tomorrow Berlin Bergen Oslo Paris Tokyo server error login password account printer phone"
).split()


class Command(BaseCommand):
    """Made-up owners, words and numbers; the same each time."""

    help = "Fill the archive with made-up conversations, to try its pages and their speed. Never on a real database."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        """Its options."""
        parser.add_argument(
            "--items", type=int, default=10_000, help="How many items; ten make a conversation or a chain."
        )

    @override
    def handle(self, *args: Any, items: int, **options: Any) -> None:
        """Write them in batches."""
        chance = random.Random(4711)  # noqa: S311 -- nothing here is secret
        left = max(1, items // ITEMS_A_CONVERSATION)
        while left:
            size = min(left, CONVERSATIONS_A_BATCH)
            with transaction.atomic():
                _write_batch(chance, size)
            left -= size
            self.stdout.write(f"{left} conversations left")


def _write_batch(chance: random.Random, size: int) -> None:
    conversations, chains, timelines, items, responses = [], [], [], [], []
    for number in range(size):
        history, timeline, said, answers = _make(chance, is_chain=number % A_CHAIN_IN == 0)
        if isinstance(history, ArchivedChain):
            chains.append(history)
        else:
            conversations.append(history)
        timelines.append(timeline)
        items += said
        responses += answers
    ArchivedConversation.objects.bulk_create(conversations, batch_size=ROWS_A_STATEMENT)
    ArchivedChain.objects.bulk_create(chains, batch_size=ROWS_A_STATEMENT)
    ArchivedTimeline.objects.bulk_create(timelines, batch_size=ROWS_A_STATEMENT)
    ArchivedItem.objects.bulk_create(items, batch_size=ROWS_A_STATEMENT)
    ArchivedResponse.objects.bulk_create(responses, batch_size=ROWS_A_STATEMENT)


def _make(
    chance: random.Random, *, is_chain: bool
) -> tuple[ArchivedConversation | ArchivedChain, ArchivedTimeline, list[ArchivedItem], list[ArchivedResponse]]:
    partition = ids.new_partition()
    timeline = ids.new_id(ids.TIMELINE, partition)
    conversation_id = None if is_chain else ids.new_id(ids.CONVERSATION, partition)
    owner = chance.choice(OWNERS)
    begun = timezone.now() - timedelta(seconds=chance.randrange(DAYS * 86_400))
    responses = [
        _make_response(chance, conversation_id, owner, timeline, begun + timedelta(minutes=turn), position=2 * turn + 2)
        for turn in range(ITEMS_A_CONVERSATION // 2)
    ]
    items = list(_make_items(chance, conversation_id, owner, timeline, responses))
    row = ArchivedTimeline(
        id=timeline,
        owner=owner,
        conversation_id=conversation_id or "",
        root=timeline,
        length=len(items),
        copied=len(items),
        record_json="{}",
    )
    return _make_history(chance, conversation_id, row, responses), row, items, responses


def _make_history(
    chance: random.Random, conversation_id: str | None, row: ArchivedTimeline, responses: list[ArchivedResponse]
) -> ArchivedConversation | ArchivedChain:
    last = responses[-1]
    columns: dict[str, Any] = {
        "owner": row.owner,
        "head": row.length,
        "created_at": responses[0].created_at,
        "last_used_at": last.created_at,
        "last_model": last.model,
        "last_status": last.status,
        "last_feedback": last.feedback_score,
        "has_error": any(response.error_code for response in responses),
    }
    if conversation_id is None:
        return ArchivedChain(id=row.id, **columns)
    title = _write(chance, 4).capitalize()
    return ArchivedConversation(id=conversation_id, title=title, timeline=row.id, record_json="{}", **columns)


def _make_response(
    chance: random.Random, conversation_id: str | None, owner: str, timeline: str, at: Any, *, position: int
) -> ArchivedResponse:
    status = chance.choice(STATUSES)
    return ArchivedResponse(
        id=ids.new_id(ids.RESPONSE, ids.get_partition(timeline)),
        owner=owner,
        conversation_id=conversation_id,
        timeline=timeline,
        position=position,
        model=chance.choice(MODELS),
        status=status,
        error_code=ERROR if status == "failed" else "",
        created_at=at,
        completed_at=at + timedelta(seconds=chance.randrange(1, 20)),
        first_token_ms=int(chance.lognormvariate(6, 0.6)),
        input_tokens=chance.randrange(50, 4_000),
        output_tokens=chance.randrange(10, 900),
        feedback_score=chance.choice((1, -1)) if chance.random() < 0.02 else None,  # noqa: PLR2004 -- one in fifty
        result_json="{}",
        record_json="{}",
    )


def _make_items(
    chance: random.Random, conversation_id: str | None, owner: str, timeline: str, responses: list[ArchivedResponse]
) -> Iterator[ArchivedItem]:
    for place in range(ITEMS_A_CONVERSATION):
        response = responses[place // 2]
        is_answer = place % 2 == 1
        role, text = "assistant" if is_answer else "user", _write(chance, 24 if is_answer else 9)
        item_id = ids.new_id(ids.MESSAGE, ids.get_partition(timeline))
        part = {"type": "output_text" if is_answer else "input_text", "text": text}
        content = {"type": "message", "id": item_id, "status": "completed", "role": role, "content": [part]}
        yield ArchivedItem(
            item_id=item_id,
            owner=owner,
            conversation_id=conversation_id,
            timeline=timeline,
            position=place + 1,
            response_id=response.id if is_answer else "",
            type="message",
            role=role,
            text=text,
            created_at=response.created_at,
            content_json=json.dumps(content),
        )


def _write(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count))

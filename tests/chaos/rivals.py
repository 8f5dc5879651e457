"""Several clients that want the same thing at the same moment, on different replicas."""

import asyncio
import time

import httpx

from tests.chaos.answers import Answer, Thread
from tests.chaos.reading import Reading, split_frames
from tests.chaos.stage import Stage
from tests.support.servers import Replica, eventually

WORDS = 20
# Of an answer, so that it is well under way when it is cancelled.
SOME_EVENTS = 8


async def send_copies(stage: Stage, *, times: int) -> None:
    """One request, sent to every replica twice at the same moment with one key: one response, one call of the model."""
    for _ in range(times):
        answer = Answer(stage.question(WORDS))
        copies = [replica for replica in stage.house.replicas for _ in range(2)]
        sent = await asyncio.gather(*(_send(stage, replica, answer.question) for replica in copies))
        answer.reading, *answer.readers = [reading for reading, _ in sent]
        answer.final = answer.reading.final
        stage.ledger.answers.append(answer)
        if (made := [is_replay for _, is_replay in sent].count(False)) != 1:
            stage.ledger.complain(f"{made} copies of {answer.question!r} say that they made the response")
        takeovers = stage.house.list_logged("response_taken_over", response_id=answer.response_id)  # on a busy machine
        if (calls := await _count_calls(stage, answer.question)) != 1 + len(takeovers):
            stage.ledger.complain(f"the model was asked {answer.question!r} {calls} times")


async def send_at_once(stage: Stage, *, times: int) -> None:
    """Four sends at once on one conversation: one runs, the others are told which."""
    for _ in range(times):
        thread = await stage.client().start_conversation()
        questions = [stage.question(WORDS) for _ in range(4)]
        told = dict(
            zip(questions, await asyncio.gather(*(_post(stage, one, thread) for one in questions)), strict=True)
        )
        won = [question for question, answer in told.items() if answer.status_code == 200]
        if len(won) != 1:
            stage.ledger.complain(f"{len(won)} of four sends on {thread.conversation_id} ran")
            continue
        answer = Answer(won[0], thread, final=told.pop(won[0]).json())
        thread.turns.append(answer)
        stage.ledger.answers.append(answer)
        for loser in told.values():
            _check_loser(stage, loser, answer.response_id)


async def cancel_elsewhere(stage: Stage, *, times: int) -> None:
    """Cancels at another replica than the one that writes; how long until the model is left."""
    house = stage.house
    for number in range(times):
        writing, other = (house.replicas[(number + step) % len(house.replicas)] for step in range(2))
        async with stage.open_replica(writing) as here, stage.open_replica(other) as there:
            await _cancel_one(stage, here, there)


async def _cancel_one(stage: Stage, here: httpx.AsyncClient, there: httpx.AsyncClient) -> None:
    answers: list[Answer] = []
    async with stage.open_model() as model, asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.client().ask(stage.question(10 * WORDS), first=here, begun=answers.append))
        await eventually(lambda: answers and len(answers[0].reading.frames) > SOME_EVENTS)
        answers[0].is_cancelled = True
        left = tasks.create_task(model.get("/_control/active", params={"until": 0, "within_s": 20}))
        began = time.monotonic()
        told = await there.post(f"/v1/responses/{answers[0].response_id}/cancel")
        is_left = (await left).json()["active"] == 0
        stage.ledger.cancels_s.append(time.monotonic() - began)
    if not is_left or told.json().get("eps:cancel_confirmed") is False:
        stage.ledger.complain(f"{answers[0].response_id} was cancelled, and the model not left")


async def _send(stage: Stage, replica: Replica, question: str) -> tuple[Reading, bool]:
    """What a copy reads, and whether it is told that another one made the response."""
    reading, body = Reading(), {"input": question, "stream": True}
    key = {"Idempotency-Key": question.replace(" ", "-")}
    async with (
        stage.open_replica(replica) as http,
        http.stream("POST", "/v1/responses", json=body, headers=key) as answer,
    ):
        async for frame in split_frames(answer.aiter_raw()):
            reading.take(frame)
    reading.take_end()
    return reading, answer.headers.get("idempotency-replayed") == "true"


async def _post(stage: Stage, question: str, thread: Thread) -> httpx.Response:
    return await stage.http.post("/v1/responses", json={"input": question, **thread.anchor})


def _check_loser(stage: Stage, loser: httpx.Response, winner_id: str) -> None:
    error = loser.json()["error"]
    if (loser.status_code, error["code"], error.get("active_response_id")) != (409, "conversation_locked", winner_id):
        stage.ledger.complain(f"beside {winner_id} a send was answered with {loser.status_code} {error}")


async def _count_calls(stage: Stage, question: str) -> int:
    async with stage.open_model() as model:
        calls = (await model.get("/_control/calls")).json()
    return sum(question in str(call["messages"]) for call in calls)

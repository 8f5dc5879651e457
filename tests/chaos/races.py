"""Several clients that want the same thing at the same moment, on different replicas."""

import asyncio
import time

import httpx

from tests.chaos.answers import Answer, Dialogue
from tests.chaos.event_reader import EventReader, split_frames
from tests.chaos.experiment import Experiment
from tests.support.servers import Replica, eventually

WORDS = 20
# An answer with this many events is well under way when it is cancelled.
SOME_EVENTS = 8


async def send_copies(experiment: Experiment, *, times: int) -> None:
    """Send one request twice to every replica at once, with one key: one response, one call of the model."""
    for _ in range(times):
        answer = Answer(experiment.compose_question(WORDS))
        copies = [replica for replica in experiment.cluster.replicas for _ in range(2)]
        sent = await asyncio.gather(*(_send(experiment, replica, answer.question) for replica in copies))
        answer.reader, *answer.other_readers = [reader for reader, _ in sent]
        answer.final = answer.reader.final
        experiment.results.answers.append(answer)
        if (made := [is_replay for _, is_replay in sent].count(False)) != 1:
            experiment.results.add_violation(f"{made} copies of {answer.question!r} say that they made the response")
        takeovers = experiment.cluster.list_logged(
            "response_taken_over", response_id=answer.response_id
        )  # there may be some on a busy machine
        if (calls := await _count_calls(experiment, answer.question)) != 1 + len(takeovers):
            experiment.results.add_violation(f"the model was asked {answer.question!r} {calls} times")


async def send_at_once(experiment: Experiment, *, times: int) -> None:
    """Four sends at once on one conversation: one runs, the others are told which."""
    for _ in range(times):
        dialogue = await experiment.client().start_conversation()
        questions = [experiment.compose_question(WORDS) for _ in range(4)]
        told = dict(
            zip(questions, await asyncio.gather(*(_post(experiment, one, dialogue) for one in questions)), strict=True)
        )
        won = [question for question, answer in told.items() if answer.status_code == 200]
        if len(won) != 1:
            experiment.results.add_violation(f"{len(won)} of four sends on {dialogue.conversation_id} ran")
            continue
        answer = Answer(won[0], dialogue, final=told.pop(won[0]).json())
        dialogue.turns.append(answer)
        experiment.results.answers.append(answer)
        for loser in told.values():
            _check_loser(experiment, loser, answer.response_id)


async def cancel_elsewhere(experiment: Experiment, *, times: int) -> None:
    """Cancel at another replica than the writing one; measure until the connection to the model is closed."""
    cluster = experiment.cluster
    for number in range(times):
        writing, other = (cluster.replicas[(number + step) % len(cluster.replicas)] for step in range(2))
        async with experiment.open_replica(writing) as here, experiment.open_replica(other) as there:
            await _cancel_one(experiment, here, there)


async def _cancel_one(experiment: Experiment, here: httpx.AsyncClient, there: httpx.AsyncClient) -> None:
    answers: list[Answer] = []
    async with experiment.open_model() as model, asyncio.TaskGroup() as tasks:
        tasks.create_task(
            experiment.client().ask(experiment.compose_question(10 * WORDS), first=here, on_start=answers.append)
        )
        await eventually(lambda: answers and len(answers[0].reader.frames) > SOME_EVENTS)
        answers[0].is_cancelled = True
        left = tasks.create_task(model.get("/_control/active", params={"until": 0, "within_s": 20}))
        began = time.monotonic()
        told = await there.post(f"/v1/responses/{answers[0].response_id}/cancel")
        is_left = (await left).json()["active"] == 0
        experiment.results.cancels_s.append(time.monotonic() - began)
    if not is_left or told.json().get("eps:cancel_confirmed") is False:
        experiment.results.add_violation(f"{answers[0].response_id} was cancelled, and the model not left")


async def _send(experiment: Experiment, replica: Replica, question: str) -> tuple[EventReader, bool]:
    """What a copy reads, and whether it is told that another copy made the response."""
    reader, body = EventReader(), {"input": question, "stream": True}
    key = {"Idempotency-Key": question.replace(" ", "-")}
    async with (
        experiment.open_replica(replica) as http,
        http.stream("POST", "/v1/responses", json=body, headers=key) as answer,
    ):
        async for frame in split_frames(answer.aiter_raw()):
            reader.take(frame)
    reader.take_end()
    return reader, answer.headers.get("idempotency-replayed") == "true"


async def _post(experiment: Experiment, question: str, dialogue: Dialogue) -> httpx.Response:
    return await experiment.http.post("/v1/responses", json={"input": question, **dialogue.anchor})


def _check_loser(experiment: Experiment, loser: httpx.Response, winner_id: str) -> None:
    error = loser.json()["error"]
    if (loser.status_code, error["code"], error.get("active_response_id")) != (409, "conversation_locked", winner_id):
        experiment.results.add_violation(f"beside {winner_id} a send was answered with {loser.status_code} {error}")


async def _count_calls(experiment: Experiment, question: str) -> int:
    async with experiment.open_model() as model:
        calls = (await model.get("/_control/calls")).json()
    return sum(question in str(call["messages"]) for call in calls)

"""The scenarios: what replicas and the database go through. The short and the long form run the same ones."""

import asyncio

from launcher.valkey import Fsync
from tests.chaos.actions import kill_and_restart_valkey, kill_at_intervals, kill_replica
from tests.chaos.answers import MAX_ATTEMPTS, Answer
from tests.chaos.experiment import TOKEN_S, Experiment
from tests.chaos.workload import FILE, search_files, under_load
from tests.support.servers import Replica, eventually

# An impatient client gives up a silent connection after this time; others wait.
IMPATIENT_S = 1.5
# An answer with this many events is well under way.
SOME_EVENTS = 8
# A file of one page, on a busy machine.
INDEXED_WITHIN_S = 30


async def survive_kills(experiment: Experiment, *, kills: int, every_s: float, clients: int) -> None:
    """Kill replicas and workers under load, one every `every_s`."""
    async with under_load(experiment, clients=clients):
        await kill_at_intervals(experiment, kills=kills, every_s=every_s)


async def survive_kills_with_files(experiment: Experiment, *, kills: int, every_s: float, clients: int) -> None:
    """The same, while all answers are made from files: no citation is lost, and none stands elsewhere."""
    client = experiment.client()
    store_id: str = (await client.request("POST", "/v1/vector_stores", json={})).json()["id"]
    form = {"files": {"file": ("depot.md", FILE.encode())}, "data": {"purpose": "assistants"}}
    file_id: str = (await client.request("POST", "/v1/files", **form)).json()["id"]
    await client.request("POST", f"/v1/vector_stores/{store_id}/files", json={"file_id": file_id})

    async def is_indexed() -> bool:
        stored = await client.request("GET", f"/v1/vector_stores/{store_id}/files/{file_id}")
        return bool(stored.json()["status"] == "completed")

    await eventually(is_indexed, within_s=INDEXED_WITHIN_S)
    async with under_load(experiment, clients=clients, behaviours=[search_files(store_id)]):
        await kill_at_intervals(experiment, kills=kills, every_s=every_s)
    await client.request("DELETE", f"/v1/vector_stores/{store_id}")
    await client.request("DELETE", f"/v1/files/{file_id}")


async def survive_valkey(experiment: Experiment, *, appendfsync: Fsync, clients: int, times: int) -> None:
    """Kill the database under load and start it on the same file; every second time replicas are killed too."""
    async with under_load(experiment, clients=clients):
        for number in range(times):
            await experiment.redis.config_set("appendfsync", appendfsync)  # lost at each restart
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(kill_and_restart_valkey(experiment, after_s=1.5, away_s=0.5))
                if number % 2:
                    tasks.create_task(kill_at_intervals(experiment, kills=3, every_s=1))
        await asyncio.sleep(1.5)  # the load goes on for a while


async def survive_frozen_replica(experiment: Experiment) -> None:
    """A replica hangs longer than its lease. After it comes back it writes nothing to what it has lost.

    It writes four answers when it hangs. When it comes back, two of them have ended elsewhere and two are being written
    elsewhere. Of each two, one client has stayed on its connection and the other has left.
    """
    frozen, lease_s = experiment.cluster.replicas[0], float(experiment.cluster.environment["LEASE_S"])
    short, long = 40, int((2 * lease_s + 5) / TOKEN_S)
    answers: list[Answer] = []
    async with experiment.open_replica(frozen) as there, asyncio.TaskGroup() as tasks:
        for words in (short, long):
            for client in (experiment.client(), experiment.client(silence_s=IMPATIENT_S)):
                question = experiment.compose_question(words)
                tasks.create_task(client.ask(question, first=there, on_start=answers.append))
        await eventually(lambda: len(answers) == 4 and all(_has_begun(answer) for answer in answers))
        await asyncio.to_thread(frozen.freeze)
        experiment.results.counts["replicas frozen"] += 1
        for answer in (answers[1], answers[3]):
            await _wait_for_takeover(experiment, answer)
        await eventually(lambda: answers[1].reader.is_over)
        ended = [answers[1].response_id, answers[0].response_id]
        await eventually(lambda: _have_ended(experiment, ended))
        before = [await _dump(experiment, response_id) for response_id in ended]
        frozen.thaw()
    if before != [await _dump(experiment, response_id) for response_id in ended]:
        experiment.results.add_violation(
            f"something was written to {ended} after the replica that had lost them came back"
        )


async def lose_all_attempts(experiment: Experiment) -> None:
    """Kill the writer of one answer three times: the answer fails and keeps the text shown."""
    owner, answers = experiment.random.choice(experiment.cluster.replicas), list[Answer]()
    lease_s = float(experiment.cluster.environment["LEASE_S"])
    async with experiment.open_replica(owner) as there, asyncio.TaskGroup() as tasks:
        question = experiment.compose_question(900, token_s=0.05)
        asking = tasks.create_task(experiment.client().ask(question, first=there, on_start=answers.append))
        await eventually(lambda: answers and _has_begun(answers[0]))
        for takeovers in range(MAX_ATTEMPTS):
            owner = await _wait_for_takeover(experiment, answers[0], times=takeovers) or owner
            await kill_replica(experiment, owner)
            tasks.create_task(asyncio.to_thread(owner.start))
        answer = await asyncio.wait_for(asking, 2 * lease_s + 10)
    if not answer.is_given_up:
        experiment.results.add_violation(f"{answer.response_id} lost its run three times and ended as {answer.final}")


async def _wait_for_takeover(experiment: Experiment, answer: Answer, *, times: int = 1) -> Replica | None:
    """Wait until the answer has been taken over `times` times and goes on. Returns its new replica, if any."""
    lease_s = float(experiment.cluster.environment["LEASE_S"])
    shown = len(answer.reader.frames)

    def is_so() -> bool:
        taken = experiment.cluster.list_logged("response_taken_over", response_id=answer.response_id)
        return len(taken) >= times and (len(answer.reader.frames) > shown + SOME_EVENTS or answer.reader.is_over)

    await eventually(is_so, within_s=2 * lease_s + 15)
    taken = experiment.cluster.list_logged("response_taken_over", response_id=answer.response_id)
    return taken[-1][0] if taken else None


def _has_begun(answer: Answer) -> bool:
    return len(answer.reader.frames) > SOME_EVENTS


async def _have_ended(experiment: Experiment, response_ids: list[str]) -> bool:
    told = [await experiment.client().request("GET", f"/v1/responses/{response_id}") for response_id in response_ids]
    return all(answer.json()["status"] == "completed" for answer in told)


async def _dump(experiment: Experiment, response_id: str) -> list[object]:
    """The raw values of all keys of a response, but for the marks of who reads it.

    A client that has stayed on its connection still reads when its replica comes back, which marks it until it has told
    the end.
    """
    keys = sorted([key async for key in experiment.redis.scan_iter(f"*{response_id}*", count=1000)])
    return [(key, await experiment.redis.dump(key)) for key in keys if b":readers:" not in key]

"""What replicas and the database go through, scene by scene; the short form and the long one play the same scenes."""

import asyncio

from launcher.valkey import Fsync
from tests.chaos.actions import kill_now_and_then, kill_replica, lose_valkey
from tests.chaos.answers import MAX_ATTEMPTS, Answer
from tests.chaos.load import under_load
from tests.chaos.stage import TOKEN_S, Stage
from tests.support.servers import Replica, eventually

# A client that gives a silent connection up soon, beside one that waits for it.
IMPATIENT_S = 1.5
# Of an answer, so that it is well under way.
SOME_EVENTS = 8


async def survive_kills(stage: Stage, *, kills: int, every_s: float, clients: int) -> None:
    """Replicas and workers are killed under load, one every `every_s`."""
    async with under_load(stage, clients=clients):
        await kill_now_and_then(stage, kills=kills, every_s=every_s)


async def survive_valkey(stage: Stage, *, appendfsync: Fsync, clients: int, times: int) -> None:
    """The database is killed under load and comes back on the same file, and a replica dies beside it."""
    async with under_load(stage, clients=clients):
        for number in range(times):
            await stage.redis.config_set("appendfsync", appendfsync)  # it starts with what its command line says
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(lose_valkey(stage, after_s=1.5, away_s=0.5))
                if number % 2:
                    tasks.create_task(kill_now_and_then(stage, kills=3, every_s=1))
        await asyncio.sleep(1.5)  # the load goes on for a while


async def survive_zombie(stage: Stage) -> None:
    """A replica hangs longer than its lease and comes back: what was taken from it stays as it is.

    It writes four answers when it hangs. Two have ended elsewhere when it comes back, two are being written elsewhere;
    and of each two one client has stayed on its connection, and the other one has left it.
    """
    zombie, lease_s = stage.house.replicas[0], float(stage.house.environment["LEASE_S"])
    short, long = 40, int((2 * lease_s + 5) / TOKEN_S)
    answers: list[Answer] = []
    async with stage.open_replica(zombie) as there, asyncio.TaskGroup() as tasks:
        for words in (short, long):
            for client in (stage.client(), stage.client(silence_s=IMPATIENT_S)):
                question = stage.question(words)
                tasks.create_task(client.ask(question, first=there, begun=answers.append))
        await eventually(lambda: len(answers) == 4 and all(_has_begun(answer) for answer in answers))
        await asyncio.to_thread(zombie.freeze)
        stage.ledger.counts["replicas frozen"] += 1
        for answer in (answers[1], answers[3]):
            await _see_taken_over(stage, answer)
        await eventually(lambda: answers[1].reading.is_over)
        ended = [answers[1].response_id, answers[0].response_id]
        await eventually(lambda: _have_ended(stage, ended))
        before = [await _dump(stage, response_id) for response_id in ended]
        zombie.thaw()
    if before != [await _dump(stage, response_id) for response_id in ended]:
        stage.ledger.complain(f"something was written to {ended} after the replica that had lost them came back")


async def lose_all_attempts(stage: Stage) -> None:
    """Whoever writes this answer is killed, three times: it fails, and keeps what was shown."""
    owner, answers = stage.chance.choice(stage.house.replicas), list[Answer]()
    lease_s = float(stage.house.environment["LEASE_S"])
    async with stage.open_replica(owner) as there, asyncio.TaskGroup() as tasks:
        question = stage.question(900, token_s=0.05)
        asking = tasks.create_task(stage.client().ask(question, first=there, begun=answers.append))
        await eventually(lambda: answers and _has_begun(answers[0]))
        for takeovers in range(MAX_ATTEMPTS):
            owner = await _see_taken_over(stage, answers[0], times=takeovers) or owner
            await kill_replica(stage, owner)
            tasks.create_task(asyncio.to_thread(owner.start))
        answer = await asyncio.wait_for(asking, 2 * lease_s + 10)
    if not answer.is_given_up:
        stage.ledger.complain(f"{answer.response_id} lost its run three times and ended as {answer.final}")


async def _see_taken_over(stage: Stage, answer: Answer, *, times: int = 1) -> Replica | None:
    """Until it has been taken over so many times and goes on; who has it now, when anybody took it."""
    lease_s = float(stage.house.environment["LEASE_S"])
    shown = len(answer.reading.frames)

    def is_so() -> bool:
        taken = stage.house.list_logged("response_taken_over", response_id=answer.response_id)
        return len(taken) >= times and (len(answer.reading.frames) > shown + SOME_EVENTS or answer.reading.is_over)

    await eventually(is_so, within_s=2 * lease_s + 15)
    taken = stage.house.list_logged("response_taken_over", response_id=answer.response_id)
    return taken[-1][0] if taken else None


def _has_begun(answer: Answer) -> bool:
    return len(answer.reading.frames) > SOME_EVENTS


async def _have_ended(stage: Stage, response_ids: list[str]) -> bool:
    told = [await stage.client().request("GET", f"/v1/responses/{response_id}") for response_id in response_ids]
    return all(answer.json()["status"] == "completed" for answer in told)


async def _dump(stage: Stage, response_id: str) -> list[object]:
    """Everything of a response that a run could write."""
    keys = sorted([key async for key in stage.redis.scan_iter(f"*{response_id}*", count=1000)])
    return [(key, await stage.redis.dump(key)) for key in keys]

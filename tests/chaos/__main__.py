"""`python -m tests.chaos`: kill what can be killed while clients look on. Ends non-zero when a promise was broken."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from tests.chaos.audit import audit
from tests.chaos.erasure import erase_everything
from tests.chaos.house import House
from tests.chaos.report import render
from tests.chaos.rivals import cancel_elsewhere, send_at_once, send_copies
from tests.chaos.rolling import roll
from tests.chaos.scenarios import lose_all_attempts, survive_kills, survive_valkey, survive_zombie
from tests.chaos.stage import Stage, open_stage
from tests.support.service import ALICE_KEY

# Two answers' worth; production has 30 s, with which a rolling restart would take many minutes.
DRAIN_S = 5
SHOWN_COMPLAINTS = 50

Scene = tuple[str, Callable[[Stage], Awaitable[None]]]


def main() -> None:
    """Everything once."""
    options = read_options()
    began = time.monotonic()
    settings = {"LEASE_S": f"{options.lease:g}", "DRAIN_S": str(DRAIN_S)}
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    with House(directory, replicas=options.replicas, settings=settings) as house:
        complaints = asyncio.run(play(house, options))
    print(f"\nLEASE_S={options.lease:g} · seed {options.seed} · took {time.monotonic() - began:.0f} s")
    if complaints:
        print(*complaints[:SHOWN_COMPLAINTS], sep="\n")
        sys.exit(f"Promises broken: {len(complaints)}. The servers' logs are in {directory}.")
    shutil.rmtree(directory)


def read_options() -> argparse.Namespace:
    """What the command line says; a seed makes the choices the same again, not the timing."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="replicas and single workers by turns, one a second")
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--lease", type=float, default=10, help="LEASE_S; 10 is what production has")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    return parser.parse_args()


async def play(house: House, options: argparse.Namespace) -> Sequence[str]:
    """All scenes, the audit, the erasure, the table; gives the complaints."""
    async with open_stage(house, api_key=ALICE_KEY, seed=options.seed) as stage:
        before = await _get_memory(stage)
        for title, scene in list_scenes(options):
            await _play_scene(stage, title, scene)
        await _play_scene(stage, "the audit", audit)
        left = await erase_everything(stage)
        print("", render(stage, memory=(before, await _get_memory(stage)), left=left), sep="\n")
        return stage.ledger.complaints


def list_scenes(options: argparse.Namespace) -> Sequence[Scene]:
    """The scenes by name, the long one first."""
    kills, clients = options.kills, options.clients
    return [
        (f"{kills} kills, one a second", partial(survive_kills, kills=kills, every_s=1, clients=clients)),
        ("a rolling restart", partial(roll, clients=clients)),
        ("a frozen replica", survive_zombie),
        ("an answer that loses every run", lose_all_attempts),
        ("Valkey killed, everysec", partial(survive_valkey, appendfsync="everysec", clients=clients, times=4)),
        ("Valkey killed, always", partial(survive_valkey, appendfsync="always", clients=clients, times=4)),
        ("copies of one request", partial(send_copies, times=20)),
        ("four sends at once", partial(send_at_once, times=20)),
        ("cancels elsewhere", partial(cancel_elsewhere, times=50)),
    ]


async def _play_scene(stage: Stage, title: str, scene: Callable[[Stage], Awaitable[None]]) -> None:
    """A scene that breaks off is a complaint too, and the next one begins with everything up."""
    began = time.monotonic()
    print(f"{title} …", end=" ", flush=True)
    known = len(stage.ledger.complaints)
    try:
        await scene(stage)
        await stage.mend()
    except Exception as error:  # noqa: BLE001 -- it is told below, and the other scenes are worth seeing
        stage.ledger.complain(f"{title} broke off: {''.join(traceback.format_exception(error))}")
    print(f"{time.monotonic() - began:.0f} s, {len(stage.ledger.complaints) - known} complaints")


async def _get_memory(stage: Stage) -> int:
    memory = await stage.redis.info("memory")
    return int(memory["used_memory"])


if __name__ == "__main__":
    main()

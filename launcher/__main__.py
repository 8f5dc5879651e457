"""`make run`: starts the whole service in one command; what is not configured it starts itself."""

import asyncio
import os
import sys

from config.env import find_text
from launcher.child_process import PROJECT_DIR
from launcher.console import Console
from launcher.data_dir import open_data_dir
from launcher.errors import CannotRunError
from launcher.launch_plan import make_plan
from launcher.ports import DEFAULT_PORT, choose_port
from launcher.stack import PROCESS_NAMES, Stack
from launcher.supervisor import supervise


def main() -> int:
    """Run until asked to stop. Returns 0; or 1 after it has printed why it cannot run."""
    try:
        asyncio.run(run())
    except CannotRunError as exc:
        print(f"make run: {exc}", file=sys.stderr)
        return 1
    return 0


async def run() -> None:
    """Take the data directory and the port, start all processes, stop them when asked. Raises `CannotRunError`."""
    os.umask(0o077)  # what any process of ours writes is for its user alone
    console = Console(sys.stdout, PROCESS_NAMES)
    data = open_data_dir((PROJECT_DIR / (find_text("DATA_DIR") or ".run")).resolve())
    host = find_text("HOST") or "127.0.0.1"
    wanted = find_text("PORT")
    port = choose_port(host, wanted)
    if not wanted and port != DEFAULT_PORT:
        console.say(f"Port {DEFAULT_PORT} is taken: serving on {port} instead.")
    stack = Stack(make_plan(), data, host, port)
    try:
        await supervise(console, data.lock.fileno(), lambda supervisor: stack.start(supervisor, console))
    finally:
        data.lock.close()


if __name__ == "__main__":
    sys.exit(main())

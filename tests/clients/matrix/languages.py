"""How a client is installed and its driver started: in a copy of its folder, so that nothing is left in the work tree.

Each has an environment of its own, from the versions that its folder pins.
"""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.clients.matrix.clients import MATRIX, Client
from tests.support.processes import REPO_ROOT

INSTALLED_CLIENTS = REPO_ROOT / ".run/clients"
# The largest takes a minute or two alone on an idle machine, and many times that beside other work.
MAX_INSTALL_S = 1200
JAVA_LIBRARIES = ("-DincludeScope=runtime", "-DoutputDirectory=target/lib")


class InstallError(Exception):
    """A tool is missing, or an installation failed; the message ends with what was said."""


@dataclass(frozen=True)
class Language:
    """What its clients need on the PATH, what an installation is made from, and commands that run in the folder."""

    tools: tuple[str, ...]
    made_from: tuple[str, ...]
    install: tuple[tuple[str, ...], ...]
    start: tuple[str, ...]


LANGUAGES = {
    "python": Language(
        tools=(),
        made_from=("requirements.txt",),
        install=(
            (sys.executable, "-m", "venv", ".venv"),
            (".venv/bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.txt"),
        ),
        start=(".venv/bin/python", "talk.py"),
    ),
    # Node itself is among the packages where there is one for the machine: the newest clients need Node 22.
    "node": Language(
        tools=("node", "npm"),
        made_from=("package-lock.json",),
        install=(("npm", "ci", "--loglevel", "error"),),
        start=("npm", "--silent", "start"),
    ),
    # One package at a time: the library is one package of 100,000 lines.
    "go": Language(
        tools=("go",),
        made_from=("go.sum", "main.go", "report.go"),
        install=(("go", "build", "-p", "1", "-o", "talk", "."),),
        start=("./talk",),
    ),
    "java": Language(
        tools=("java", "mvn"),
        made_from=("pom.xml", "src/main/java/Talk.java"),
        install=(("mvn", *"-B -ntp -q compile dependency:copy-dependencies".split(), *JAVA_LIBRARIES),),
        start=("java", "-cp", "target/classes:target/lib/*", "Talk"),
    ),
}


def install(client: Client) -> Path:
    """The folder in which the client is installed, with its driver as it is now. Raises `InstallError`."""
    language = LANGUAGES[client.language]
    missing = [tool for tool in language.tools if shutil.which(tool) is None]
    if missing:
        raise InstallError(f"missing on the PATH: {', '.join(missing)}")
    shutil.copytree(MATRIX / client.language, INSTALLED_CLIENTS / client.language, dirs_exist_ok=True)
    folder = INSTALLED_CLIENTS / client.folder
    stamp = folder / ".installed"
    wanted = hashlib.sha256(b"".join((folder / name).read_bytes() for name in language.made_from)).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        for command in language.install:
            _run(command, folder)
        stamp.write_text(wanted)
    return folder


def _run(command: tuple[str, ...], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=MAX_INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(str(error)) from error
    if done.returncode != 0:
        raise InstallError(f"{' '.join(command)}:\n{(done.stdout + done.stderr).decode(errors='replace')[-3000:]}")

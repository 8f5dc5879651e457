"""The image, built and run as the Dockerfile says, by podman: no Docker engine, no registry.

What the image stands on is Debian with Python, made here by debootstrap once, because nothing can be pulled; with this
machine's pip configuration and certificates in it, as a company's own base image would have them.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from tests.support.processes import REPO_ROOT, ServerProcess
from tests.support.servers import Replica

TOOLS = ("podman", "runc", "debootstrap")
HOW_TO_GET_THEM = f"as root on Debian: apt-get install --no-install-recommends {' '.join(TOOLS)}"
# A release that brings Python 3.11, and what a slim Python image holds.
SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
BASE_IMAGE = f"localhost/eps-test-base:{SUITE}"
MACHINE_FILES = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
# debootstrap takes a minute on an idle machine, and the packages another.
MAX_BUILD_S = 900
MAX_COMMAND_S = 60
# However a test ends, its container goes: podman's own watchdog, for when nobody else is left to.
MAX_CONTAINER_S = 600
# What the restricted profile of Kubernetes asks for, and a root file system that nobody can write to.
RESTRICTED = (
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--tmpfs", "/tmp:size=64m", "--tmpfs", "/data:size=64m"),
)
# Below any hard limit, which a machine without CAP_SYS_RESOURCE may not raise.
LIMITS = ("--ulimit", "nofile=8192:8192", "--ulimit", "nproc=4096:4096")


class ImageError(Exception):
    """podman or debootstrap failed; the message ends with what they said."""


@dataclass(frozen=True)
class Image:
    """A built image of the Dockerfile."""

    name: str

    def run(self, *command: str, options: Sequence[str] = ()) -> str:
        """What a command prints in a new container, as restricted as in production. Raises `ImageError`."""
        return podman("run", "--rm", "--network", "host", *LIMITS, *RESTRICTED, *options, self.name, *command)


def find_missing_tools() -> list[str]:
    """What is not there of what building takes."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return missing or ([] if os.geteuid() == 0 else ["root"])


def build_image(target: str) -> Image:
    """The Dockerfile's target, built from what is in the work tree. Layers that did not change are kept."""
    name = f"localhost/eps-test-{target}:latest"
    options = ("--isolation", "chroot", "--format", "docker", "--layers")
    base = ("--build-arg", f"BASE_IMAGE={_make_base()}")
    podman("build", *options, *base, "--target", target, "--tag", name, str(REPO_ROOT), limit_s=MAX_BUILD_S)
    return Image(name)


def podman(*arguments: str, limit_s: float = MAX_COMMAND_S) -> str:
    """What podman prints. Raises `ImageError`."""
    return _run(podman_command(*arguments), limit_s=limit_s)


class Container(ServerProcess):
    """A server that podman runs in a container. A subclass sets `image` and says with which options."""

    image: Image

    @property
    def name(self) -> str:
        """The container's name, unique among the tests' directories."""
        return f"eps-test-{self.directory.parent.name}-{self.directory.name}"

    def get_options(self) -> list[str]:
        """Options of `podman run`, besides those of every container here."""
        raise NotImplementedError

    def get_arguments(self) -> list[str]:
        """The command, when it is not the image's own."""
        return []

    @override
    def get_command(self) -> list[str]:
        watched = ("--rm", "--name", self.name, "--timeout", str(MAX_CONTAINER_S))
        # Without systemd nothing would run the health check; a test runs it itself.
        options = (*watched, "--no-healthcheck", *LIMITS, *self.get_options())
        return podman_command("run", *options, self.image.name, *self.get_arguments())

    def execute(self, *command: str) -> str:
        """What a command prints inside. Raises `ImageError` when it fails."""
        return podman("exec", self.name, *command)

    @override
    def kill(self) -> None:
        """Kill the container first: it outlives a podman that is killed."""
        if self._process is not None and self._process.poll() is None:
            subprocess.run(podman_command("kill", self.name), capture_output=True, check=False)
        super().kill()

    @override
    def freeze(self) -> None:
        podman("pause", self.name)

    @override
    def thaw(self) -> None:
        """Does nothing to a container that is not frozen."""
        subprocess.run(podman_command("unpause", self.name), capture_output=True, check=False)


class ContainerReplica(Container, Replica):
    """Our service as its image runs it: the image's user and entry point, on a read-only file system."""

    # podman removes the container's file system and network after the process has ended.
    max_exit_s = 30

    def __init__(self, directory: Path, environment: Mapping[str, str], image: Image) -> None:
        """`environment` is added to the image's own."""
        super().__init__(directory, environment)
        self.image = image

    @override
    def get_options(self) -> list[str]:
        variables = Replica.get_environment(self)
        given = [f"--env={name}={value}" for name, value in variables.items() if name != "DATA_DIR"]
        return ["--network", "host", *RESTRICTED, *given]

    @override
    def get_environment(self) -> Mapping[str, str]:
        return {}  # of podman itself


def _make_base() -> str:
    if subprocess.run(podman_command("image", "exists", BASE_IMAGE), check=False).returncode == 0:
        return BASE_IMAGE
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "root"
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root)]
        _run(bootstrap, limit_s=MAX_BUILD_S)
        for file in filter(Path.exists, map(Path, MACHINE_FILES)):
            shutil.copy(file, root / file.relative_to("/"))
        # debootstrap leaves the packages it has unpacked, a third of its size.
        shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
        (Path(directory) / "Dockerfile").write_text("FROM scratch\nADD root /\n", "utf-8")
        podman("build", "--isolation", "chroot", "--tag", BASE_IMAGE, directory, limit_s=MAX_BUILD_S)
    return BASE_IMAGE


def podman_command(*arguments: str) -> list[str]:
    """The command line of podman."""
    # crun, the default, refuses the mixed control groups of some virtual machines.
    return ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file", *arguments]


def _run(command: Sequence[str], *, limit_s: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    if done.returncode != 0:
        raise ImageError(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout

"""A real server that speaks S3, for tests: versitygw, which Go builds once."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from typing_extensions import override

from launcher.go_programs import GoProgram
from tests.support.processes import ServerProcess
from tests.support.servers import get_status

VERSITYGW = GoProgram("versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0", max_build_s=900)


class S3Server(ServerProcess):
    """A server with one bucket, `files`; what it keeps is a folder of its directory."""

    key = "eps-test-key"
    secret = "eps-test-secret"
    bucket = "files"

    def __init__(self, directory: Path, server: Path) -> None:
        """`server` is the path of the binary."""
        super().__init__(directory)
        self._server = server

    @property
    def kept(self) -> Sequence[Path]:
        """What is in the bucket."""
        return [path for path in (self.directory / "data" / self.bucket).rglob("*") if path.is_file()]

    @override
    def get_command(self) -> list[str]:
        (self.directory / "data" / self.bucket).mkdir(parents=True, exist_ok=True)  # a folder is a bucket
        address = f"127.0.0.1:{self.ports[0]}"
        metadata = ("--sidecar", str(self.directory / "metadata"))
        (self.directory / "metadata").mkdir(exist_ok=True)
        return [str(self._server), "--port", address, "posix", *metadata, str(self.directory / "data")]

    @override
    def get_environment(self) -> Mapping[str, str]:
        return {"ROOT_ACCESS_KEY_ID": self.key, "ROOT_SECRET_ACCESS_KEY": self.secret}

    @override
    def is_ready(self) -> bool:
        return get_status(self.ports[0], "/") is not None

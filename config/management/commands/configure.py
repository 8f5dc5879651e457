"""`manage.py configure codex`: write the configuration that points a client to this service."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from config import env
from config.codex import KEY_VARIABLE, CannotConfigureError, add_settings, compose_settings

# Its file may hold a key, and a new one is nobody else's business.
_PRIVATE = 0o600


def find_codex_file() -> Path:
    """The file that Codex reads."""
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "config.toml"


class Command(BaseCommand):
    """Add the settings to the client's file, or print them. Only Codex needs more than a base URL and a key."""

    help = "Write the configuration that points a client (codex) to this service; what else is in its file stays."
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """The client; and what differs from the defaults."""
        parser.add_argument("client", choices=["codex"])
        parser.add_argument("--base-url", help="the address of the API; default: this machine's, with PORT")
        parser.add_argument("--model", help="the model to ask; default: DEFAULT_MODEL")
        key = parser.add_mutually_exclusive_group()
        key.add_argument("--key-variable", default=KEY_VARIABLE, help="the variable that holds the API key")
        key.add_argument("--key", help="the API key itself; it is written into the file")
        parser.add_argument("--path", type=Path, help="the file; default: config.toml in CODEX_HOME or ~/.codex")
        parser.add_argument("--print", action="store_true", help="print the settings and write nothing")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the settings, or where they were written."""
        base_url = options["base_url"] or f"http://127.0.0.1:{env.integer('PORT', 8000, minimum=1)}/v1"
        model = options["model"] or settings.DEFAULT_MODEL
        wanted = compose_settings(base_url, model, key_variable=options["key_variable"], key=options["key"])
        if options["print"]:
            self.stdout.write(add_settings("", wanted), ending="")
            return
        path = (options["path"] or find_codex_file()).resolve()
        try:
            _replace(path, add_settings(path.read_text() if path.exists() else "", wanted), options["key"] is not None)
        except CannotConfigureError as exc:
            raise CommandError(f"{path} was not changed: {exc}") from exc
        except OSError as exc:
            raise CommandError(f"{path} could not be written: {exc.strerror}") from exc
        needs = "" if options["key"] else f" Put the API key into {options['key_variable']}."
        self.stdout.write(f"{path} points Codex to {base_url}.{needs}")


def _replace(path: Path, text: str, is_secret: bool) -> None:
    """Write the file whole or not at all."""
    mode = path.stat().st_mode & 0o777 if path.exists() and not is_secret else _PRIVATE
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new-{os.getpid()}")
    try:
        new.touch(_PRIVATE)
        new.write_text(text)
        new.chmod(mode)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)

"""`manage.py probe_model [--model M]`: asks the model's server what it can, and says what to set."""

import asyncio
import json
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from config.clients import build_quirks
from config.connections import open_openai
from config.redaction import hide_credentials
from prompts.adapters.openai.probing.report import Limits, Report, probe_model

# A small model on a laptop takes seconds for an answer; a cold one longer.
PROBE_S = 30.0
TOTAL_S = 180.0


class Command(BaseCommand):
    """Asks; it changes nothing, neither here nor there."""

    help = "Ask the model's server what it can; print a table and the settings that fit. 1 when no turn is answered."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """The model, the limits, and the form of the answer."""
        parser.add_argument("--model", help="the model to ask; DEFAULT_MODEL when left out")
        parser.add_argument("--limit", type=float, default=PROBE_S, metavar="S", help=f"seconds a probe ({PROBE_S:g})")
        parser.add_argument("--total", type=float, default=TOTAL_S, metavar="S", help=f"seconds in all ({TOTAL_S:g})")
        parser.add_argument("--json", action="store_true", help="the findings as JSON")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """The table goes to standard output, also when no turn was answered."""
        model = options["model"] or settings.DEFAULT_MODEL
        report = asyncio.run(_probe(model, Limits(options["limit"], options["total"])))
        self.stdout.write(json.dumps(asdict(report), indent=2) if options["json"] else _render(report, model))
        if not report.can_serve:
            raise CommandError(
                "No turn was answered. Check OPENAI_BASE_URL, OPENAI_API_KEY and the model's name; the rows say why."
            )


async def _probe(model: str, limits: Limits) -> Report:
    async with open_openai() as client:
        return await probe_model(client, model, build_quirks(), limits)


def _render(report: Report, model: str) -> str:
    rows = [(name, found.result, found.meaning) for name, found in report.findings.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{model} at {hide_credentials(settings.OPENAI_BASE_URL)}", ""]
    lines += [f"{name:{widths[0]}}  {result:{widths[1]}}  {meaning}" for name, result, meaning in rows]
    if report.settings:
        lines += ["", "Settings that fit:", *(f"  {name}={value}" for name, value in report.settings.items())]
    return "\n".join(lines)

"""Metrics of a replica, as Prometheus reads them."""

import asyncio
from dataclasses import dataclass

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from prompts.adapters.metrics.tally import PAUSE_S
from tests.support.servers import Replica

# A scrape adds up a few small files.
MAX_SCRAPE_S = 10


@dataclass(frozen=True)
class Scrape:
    """What one scrape gave: metric families by name, without the suffix of counters."""

    families: dict[str, Metric]

    def get(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that have these labels; 0 when there is none."""
        return sum(
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def describe(self) -> dict[str, tuple[str, set[str]]]:
        """The type and the labels of each metric, by the name that a query uses."""
        return {
            f"{name}_total" if family.type == "counter" else name: (
                family.type,
                {label for sample in family.samples for label in sample.labels} - {"le"},
            )
            for name, family in self.families.items()
        }

    def list_labels(self, name: str, label: str) -> set[str]:
        """The values that a label has in the samples of a family."""
        return {sample.labels[label] for sample in self.families[name].samples if label in sample.labels}


async def scrape(replica: Replica) -> Scrape:
    """The metrics of all workers of a replica, with all that happened until now."""
    await asyncio.sleep(2 * PAUSE_S)  # what is counted is written a moment later
    async with httpx.AsyncClient(timeout=MAX_SCRAPE_S) as client:
        answer = await client.get(replica.metrics_url)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return read_scrape(answer.text)


def read_scrape(text: str) -> Scrape:
    """What stands in an answer of the metrics' port."""
    return Scrape({family.name: family for family in text_string_to_metric_families(text)})

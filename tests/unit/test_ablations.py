"""What `WHY=1 make bench` takes away is there to be taken away."""

import pytest

from benchmarks.ablations import ABLATIONS, Ablation
from benchmarks.without import FREEZING, LOG, ROUNDS
from tests.support.processes import REPO_ROOT

SETTINGS = (REPO_ROOT / "docs" / "settings.md").read_text("utf-8")


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.title)
def test_an_ablation_names_settings_and_parts_that_there_are(ablation: Ablation) -> None:
    """That the parts are really taken away is tried in tests/integration/test_benchmark_contestants.py."""
    names = dict(ablation.settings)
    assert names.pop("WITHOUT", LOG) in {LOG, FREEZING, ROUNDS}
    assert [name for name in names if f"`{name}`" not in SETTINGS] == []

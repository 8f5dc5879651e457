"""Checks of the manifests by kustomize, Kubernetes' own schemas, kube-score, promtool and Compose's loader."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import kubernetes_validate
import yaml

from tests.manifests.sources import ALERTS, K8S, MONITORING, Object
from tests.manifests.tools import COMPOSE, KUBE_SCORE, KUSTOMIZE, get_go_program, get_promtool
from tests.support.processes import REPO_ROOT

OVERLAYS = ("dev", "production")
# The oldest release that knows all that is used here (matchLabelKeys, unhealthyPodEvictionPolicy), and the newest.
KUBERNETES_VERSIONS = ("1.27", "1.37")
# Extensions of a cluster, which Kubernetes' schemas do not know.
EXTENSIONS = ("monitoring.coreos.com/", "gateway.networking.k8s.io/")
MAX_RUN_S = 120


class ManifestError(Exception):
    """A program refused a manifest; the message is what it said."""


def render(directory: Path) -> str:
    """What `kubectl apply -k` would send. Raises `ManifestError`."""
    return _run(str(get_go_program(KUSTOMIZE)), "build", str(directory))


def render_overlay(name: str) -> str:
    """An overlay of `k8s/overlays`. Raises `ManifestError`."""
    return render(K8S / "overlays" / name)


def read_rendered(rendered: str) -> list[Object]:
    """The rendered objects."""
    return [found for found in yaml.safe_load_all(rendered) if found]


def list_schema_faults(objects: Sequence[Object], version: str) -> list[str]:
    """What is not as the schemas of a Kubernetes version have it; an unknown field is a fault as well."""
    faults = []
    for one in objects:
        if one["apiVersion"].startswith(EXTENSIONS):
            continue
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            faults.append(f"{one['kind']} {one['metadata']['name']}: {error.message}")
    return faults


def list_score_faults(rendered: str) -> list[str]:
    """What kube-score criticizes and no annotation beside it explains."""
    command = [str(get_go_program(KUBE_SCORE)), "score", "--output-format", "ci", "-"]
    said = subprocess.run(command, input=rendered, capture_output=True, text=True, timeout=MAX_RUN_S, check=False)
    lines = said.stdout.splitlines()
    if not lines:
        raise ManifestError(said.stderr)
    return [line for line in lines if not line.startswith(("[OK]", "[SKIPPED]"))]


def check_alerts() -> str:
    """promtool's word on the rules, and on the tests of them. Raises `ManifestError`."""
    promtool = str(get_promtool())
    checked = _run(promtool, "check", "rules", str(ALERTS))
    return checked + _run(promtool, "test", "rules", str(MONITORING / "alerts.test.yaml"))


def check_expressions(expressions: Sequence[str], directory: Path) -> None:
    """Whether Prometheus understands these. Raises `ManifestError`."""
    rules = [{"record": f"checked:{number}", "expr": expr} for number, expr in enumerate(expressions)]
    path = directory / "expressions.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "expressions", "rules": rules}]}), "utf-8")
    _run(str(get_promtool()), "check", "rules", str(path))


def load_compose() -> Object:
    """compose.yaml as Docker Compose reads it, its variables left as they are. Raises `ManifestError`."""
    loaded: Object = yaml.safe_load(
        _run(str(get_go_program(COMPOSE)), "-no-interpolation", str(REPO_ROOT / "compose.yaml"))
    )
    return loaded


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAX_RUN_S, check=False)
    if done.returncode != 0:
        raise ManifestError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout

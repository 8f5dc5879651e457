"""The overlays as kustomize renders them, checked by Kubernetes' schemas, kube-score, promtool and Compose."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.manifests.sources import K8S, MONITORING, find_object, get_pod, list_containers, list_pods, read_objects
from tests.manifests.tools import COMPOSE, KUBE_SCORE, KUSTOMIZE, ToolError, get_go_program, get_promtool
from tests.manifests.validation import (
    KUBERNETES_VERSIONS,
    OVERLAYS,
    check_alerts,
    check_expressions,
    list_schema_faults,
    list_score_faults,
    load_compose,
    read_rendered,
    render,
    render_overlay,
)
from tests.support.missing import give_up

# The first test waits for its tools: under a minute each on an idle machine, once.
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    """What most tests need."""
    _get(get_promtool)
    _get(lambda: get_go_program(KUSTOMIZE))


def _get(tool: Callable[[], Path]) -> None:
    """Build or fetch it. Where that cannot be done, CI fails and others skip."""
    try:
        tool()
    except ToolError as error:
        give_up(str(error))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_what_kubernetes_takes(overlay: str) -> None:
    rendered = render_overlay(overlay)
    for version in KUBERNETES_VERSIONS:
        assert list_schema_faults(read_rendered(rendered), version) == []


@pytest.mark.long  # builds kube-score
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kube_score_accepts_an_overlay(overlay: str) -> None:
    _get(lambda: get_go_program(KUBE_SCORE))
    assert list_score_faults(render_overlay(overlay)) == []


def test_a_wrong_field_is_found() -> None:
    """The checks above check."""
    rendered = render_overlay("production")
    objects = read_rendered(rendered.replace("periodSeconds: 5\n", "periodSecond: 5\n"))
    [fault] = list_schema_faults(objects, KUBERNETES_VERSIONS[-1])
    assert "periodSecond" in fault


@pytest.mark.long  # builds kube-score
def test_what_kube_score_dislikes_is_found() -> None:
    _get(lambda: get_go_program(KUBE_SCORE))
    rendered = render_overlay("production")
    [fault, *_] = list_score_faults(rendered.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"))
    assert "CRITICAL" in fault


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whatever_is_referred_to_is_there(overlay: str) -> None:
    objects = read_rendered(render_overlay(overlay))
    names = {(one["kind"], one["metadata"]["name"]) for one in objects}
    if overlay == "production":
        names.add(("Secret", "eps-credentials-1"))  # made by hand, as its overlay says
    namespaces = {one["metadata"].get("namespace", one["metadata"]["name"]) for one in objects}
    assert len(namespaces) == 1
    for pod in list_pods(objects):
        for volume in pod.get("volumes", []):
            assert "secret" not in volume or ("Secret", volume["secret"]["secretName"]) in names
        for container in list_containers(pod):
            for source in container.get("envFrom", []):
                assert ("ConfigMap", source["configMapRef"]["name"]) in names
            assert not container["image"].endswith(":unset")


def test_a_changed_setting_or_secret_changes_what_pods_refer_to(tmp_path: Path) -> None:
    before = find_object(read_rendered(render_overlay("dev")), "Deployment", "eps")
    for file in (*K8S.rglob("*.yaml"), *K8S.rglob("*.env"), *K8S.rglob("*.json")):
        copy = tmp_path / file.relative_to(K8S)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    dev = tmp_path / "overlays/dev"
    (dev / "credentials.env").write_text((dev / "credentials.env").read_text() + "ANOTHER=1\n")
    (dev / "settings.env").write_text((dev / "settings.env").read_text() + "LOG_LEVEL=DEBUG\n")
    after = find_object(read_rendered(render(dev)), "Deployment", "eps")
    for find in (_find_settings, _find_secret):
        assert re.fullmatch(r"eps-\w+-[a-z0-9]{10}", find(before))
        assert find(before) != find(after)


def _find_settings(deployment: dict[str, object]) -> str:
    return str(list_containers(get_pod(deployment))[0]["envFrom"][0]["configMapRef"]["name"])


def _find_secret(deployment: dict[str, object]) -> str:
    return next(str(one["secret"]["secretName"]) for one in get_pod(deployment)["volumes"] if "secret" in one)


def test_production_is_scaled_by_its_autoscaler_and_each_version_brings_its_migration() -> None:
    objects = read_rendered(render_overlay("production"))
    deployment = find_object(objects, "Deployment")
    assert "replicas" not in deployment["spec"]
    assert find_object(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "eps"
    [image] = {container["image"] for container in list_containers(get_pod(deployment))}
    migration = find_object(objects, "Job")
    assert get_pod(migration)["containers"][0]["image"] == image
    assert migration["metadata"]["name"] == f"eps-migration-{image.rpartition(':')[2]}"
    assert not [one for one in objects if one["kind"] in ("StatefulSet", "Secret")]


def test_prometheus_takes_the_alerts_and_each_fires_when_it_should() -> None:
    said = check_alerts()
    assert "SUCCESS" in said
    assert "FAILED" not in said


def test_prometheus_understands_the_dashboard(tmp_path: Path) -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert expressions
    check_expressions(
        [expr.replace("$__rate_interval", "5m").replace("$namespace", "eps") for expr in expressions], tmp_path
    )


def test_monitoring_and_examples_render_and_fit_the_schemas() -> None:
    monitoring = read_rendered(render(MONITORING))
    assert {one["kind"] for one in monitoring} == {"ConfigMap", "PodMonitor", "PrometheusRule"}
    examples = [one for path in (K8S / "examples").glob("*.yaml") for one in read_objects(path)]
    assert list_schema_faults([*monitoring, *examples], KUBERNETES_VERSIONS[-1]) == []
    services = {
        one["metadata"]["name"] for one in read_rendered(render_overlay("production")) if one["kind"] == "Service"
    }
    [ingress] = [one for one in examples if one["kind"] == "Ingress"]
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "eps", "port": {"name": "http"}}
    assert backend["name"] in services


@pytest.mark.long  # builds Compose's loader
def test_compose_reads_its_file() -> None:
    _get(lambda: get_go_program(COMPOSE))
    services = load_compose()["services"]
    assert services["service"]["deploy"]["replicas"] == 3
    assert services["service"]["read_only"] is True

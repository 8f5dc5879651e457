"""`make manifests`: render every overlay into `.run/manifests`, have it checked, and print what was said."""

import sys

from tests.manifests.sources import K8S, OPERATOR_RULES, compose_operator_rules, read_objects
from tests.manifests.tools import BIN_DIR, ToolError
from tests.manifests.validation import (
    KUBERNETES_VERSIONS,
    OVERLAYS,
    ManifestError,
    check_alerts,
    list_schema_faults,
    list_score_faults,
    load_compose,
    read_rendered,
    render,
    render_overlay,
)

RENDERED_DIR = BIN_DIR.parent / "manifests"


def main() -> int:
    """0 when nobody found a fault."""
    OPERATOR_RULES.write_text(compose_operator_rules(), "utf-8")
    RENDERED_DIR.mkdir(parents=True, exist_ok=True)
    try:
        faults = [fault for name in OVERLAYS for fault in _check_overlay(name)]
        faults += _check_rest()
    except (ManifestError, ToolError) as error:
        print(error, file=sys.stderr)
        return 1
    for fault in faults:
        print(f"FAULT  {fault}", file=sys.stderr)
    return 1 if faults else 0


def _check_overlay(name: str) -> list[str]:
    rendered = render_overlay(name)
    path = RENDERED_DIR / f"{name}.yaml"
    path.write_text(rendered, "utf-8")
    objects = read_rendered(rendered)
    print(f"overlays/{name}: {len(objects)} objects in {path}")
    for one in objects:
        print(f"    {one['kind']:24} {one['metadata']['name']}")
    faults = []
    for version in KUBERNETES_VERSIONS:
        found = list_schema_faults(objects, version)
        print(f"  kubernetes-validate --strict {version}: {len(found)} faults")
        faults += found
    scored = list_score_faults(rendered)
    print(f"  kube-score: {len(scored)} critical or warned of, and not explained")
    return faults + scored


def _check_rest() -> list[str]:
    monitoring = read_rendered(render(K8S / "monitoring"))
    examples = [one for path in sorted((K8S / "examples").glob("*.yaml")) for one in read_objects(path)]
    for what, objects in (("monitoring", monitoring), ("examples", examples)):
        print(f"{what}: {', '.join(one['kind'] for one in objects)}")
    print(f"promtool:\n{check_alerts().strip()}")
    print(f"compose.yaml: {', '.join(load_compose()['services'])}")
    return list_schema_faults([*monitoring, *examples], KUBERNETES_VERSIONS[-1])


if __name__ == "__main__":
    sys.exit(main())

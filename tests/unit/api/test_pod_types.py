"""The parts of a pod spec have the types of Kubernetes, are bounded, and reach the pods unchanged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sluicegate.api.crd import build_crd
from sluicegate.api.product import DataProduct
from sluicegate.manifests.plan import spec_version
from sluicegate.manifests.pod import build_pod_template
from tests.support.decisions.rollout_world import RUNTIME, document

ROOT = Path(__file__).parents[3]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
ZONE = {"key": "zone", "operator": "In", "values": ["a", "b"]}
SELECTOR = {"matchLabels": {"app": "x"}, "matchExpressions": [ZONE]}
TERM = {
    "topologyKey": "kubernetes.io/hostname",
    "labelSelector": SELECTOR,
    "namespaces": ["shop"],
    "namespaceSelector": {},
    "matchLabelKeys": ["app"],
    "mismatchLabelKeys": ["tier"],
}
PODS = {REQUIRED: [TERM], PREFERRED: [{"weight": 7, "podAffinityTerm": TERM}]}
WHOLE = {
    "nodeAffinity": {
        REQUIRED: {
            "nodeSelectorTerms": [
                {"matchExpressions": [ZONE], "matchFields": [{"key": "a", "operator": "Exists"}]}
            ]
        },
        PREFERRED: [{"weight": 1, "preference": {"matchExpressions": []}}],
    },
    "podAffinity": PODS,
    "podAntiAffinity": PODS,
}
SPREAD = {
    "maxSkew": 1,
    "topologyKey": "zone",
    "whenUnsatisfiable": "ScheduleAnyway",
    "labelSelector": SELECTOR,
    "minDomains": 2,
    "nodeAffinityPolicy": "Honor",
    "nodeTaintsPolicy": "Ignore",
    "matchLabelKeys": ["app"],
}


SELECTION = """
Toleration:
  of: V1Toleration
  description: A taint that the pods tolerate.
  fields: {key: Key of the taint.}
  refused: [operator, value, effect]
"""


def generated(folder: Path, selection: str) -> subprocess.CompletedProcess[str]:
    """A run of the generator on another selection, which writes into the folder."""
    script = folder / ".ci/pod_fields.py"
    script.parent.mkdir()
    shutil.copy(ROOT / ".ci/pod_fields.py", script)
    script.with_suffix(".yaml").write_text(selection, encoding="utf-8")
    (folder / "operator/sluicegate/api").mkdir(parents=True)
    return subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)


def test_the_generated_pod_types_equal_those_of_kubernetes():
    command = [sys.executable, ROOT / ".ci/pod_fields.py", "--check"]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize(
    ("change", "error"),
    [(("effect]", "]"), "Toleration lacks ['effect', 'tolerationSeconds']: add them to its fields or to refused"),
     (("{key:", "{keys:"), "Toleration has ['keys'], which Kubernetes does not: remove them")],
)  # fmt: skip
def test_a_pod_field_missing_in_kubernetes_or_in_the_selection_fails_the_generation(
    change, error, tmp_path
):
    run = generated(tmp_path, SELECTION.replace(*change))
    assert run.returncode == 1
    assert error in run.stderr


def test_a_pod_field_has_the_type_and_required_flag_of_kubernetes(tmp_path):
    selection = (
        SELECTION.replace("effect]", "effect, tolerationSeconds]")
        + """
TopologySpreadConstraint:
  of: V1TopologySpreadConstraint
  description: A rule by which pods spread over zones or nodes.
  fields:
    labelSelector: Selector of the pods that count.
    topologyKey: [Key, Label of nodes whose values are the domains.]
  refused: others
LabelSelector: {of: V1LabelSelector, description: Objects by labels., fields: {}, refused: others}
"""
    )
    assert generated(tmp_path, selection).returncode == 0
    written = json.loads((tmp_path / "operator/sluicegate/api/pod_fields.json").read_text())
    fields = written["TopologySpreadConstraint"]["fields"]
    assert fields["labelSelector"]["type"] == "LabelSelector"
    assert {name: field.get("required", False) for name, field in fields.items()} == {
        "labelSelector": False,
        "topologyKey": True,
    }


def test_scheduling_fields_reach_the_pods_unchanged():
    serving = {"affinity": WHOLE, "topologySpreadConstraints": [SPREAD], "runtimeImage": RUNTIME}
    product = DataProduct.parse(document(serving=serving))
    spec = build_pod_template(product, spec_version(product, RUNTIME))["spec"]
    assert spec["affinity"] == WHOLE
    assert spec["topologySpreadConstraints"] == [SPREAD]


def open_parts(schema: dict, path: str) -> set[str]:
    """Where a schema takes what it doesn't name, or any number or length of it."""
    found = set()
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        found.add(f"{path} is open")
    if schema.get("type") == "array" and "maxItems" not in schema:
        found.add(f"{path} has any number of items")
    if schema.get("type") == "string" and not {"maxLength", "enum"} & schema.keys():
        found.add(f"{path} has any length")
    if "additionalProperties" in schema and "maxProperties" not in schema:
        found.add(f"{path} has any number of keys")
    parts = {**schema.get("properties", {})}
    parts |= {"[]": schema["items"]} if "items" in schema else {}
    parts |= {"{}": schema["additionalProperties"]} if "additionalProperties" in schema else {}
    for name, part in parts.items():
        found |= open_parts(part, f"{path}.{name}")
    return found


def test_each_spec_field_is_typed_and_bounded():
    (version,) = build_crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert open_parts(spec, "spec") == set()


def test_the_definition_is_small_enough_to_be_applied_by_kubectl():
    assert len(json.dumps(build_crd())) < 256 * 1024, "kubectl keeps it in an annotation"


def test_kubernetes_describes_the_fields_of_a_training_pod():
    (version,) = build_crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    template = spec["properties"]["retraining"]["properties"]["podTemplate"]
    assert "kubectl explain pod.spec" in template["description"]
    assert '"description"' not in json.dumps(template["properties"])

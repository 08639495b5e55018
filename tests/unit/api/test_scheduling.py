"""What is written out of a pod spec holds all that Kubernetes has, is bounded, and is passed on."""

from __future__ import annotations

import json

import pytest
from kubernetes.client import models

from sluicegate.api import scheduling
from sluicegate.api.crd import build_crd
from sluicegate.api.product import DataProduct
from sluicegate.manifests.plan import spec_version
from sluicegate.manifests.pod import build_pod_template
from tests.support.decisions.rollout_world import RUNTIME, document

OF_KUBERNETES = {
    "Affinity": "V1Affinity",
    "NodeAffinity": "V1NodeAffinity",
    "NodeSelector": "V1NodeSelector",
    "NodeSelectorTerm": "V1NodeSelectorTerm",
    "PreferredSchedulingTerm": "V1PreferredSchedulingTerm",
    "PodAffinity": "V1PodAffinity",
    "PodAffinityTerm": "V1PodAffinityTerm",
    "WeightedPodAffinityTerm": "V1WeightedPodAffinityTerm",
    "LabelSelector": "V1LabelSelector",
    "LabelRequirement": "V1NodeSelectorRequirement",
    "TopologySpreadConstraint": "V1TopologySpreadConstraint",
    "Toleration": "V1Toleration",
}
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


@pytest.mark.parametrize("name", OF_KUBERNETES)
def test_each_field_of_kubernetes_is_there(name):
    ours = {field.alias for field in getattr(scheduling, name).model_fields.values()}
    assert ours == set(getattr(models, OF_KUBERNETES[name]).attribute_map.values())


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


def test_no_part_of_a_spec_is_open_or_of_any_size():
    (version,) = build_crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert open_parts(spec, "spec") == set()


def test_the_definition_is_small_enough_to_be_applied_by_kubectl():
    assert len(json.dumps(build_crd())) < 256 * 1024, "kubectl keeps it in an annotation"

"""The chart's annotations for Artifact Hub agree with the definitions and the licence."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

from sluicegate.api.crd import DEFINITIONS, build_crd
from sluicegate.api.product import DataProduct

ROOT = Path(__file__).parents[2]
CHART = yaml.safe_load((ROOT / "charts/sluicegate/Chart.yaml").read_text(encoding="utf-8"))
HUB = "artifacthub.io"
CAPABILITIES = {"Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"}  # fmt: skip


def annotation(name: str) -> str:
    """The annotation as Helm reads it: a text, which may be YAML itself."""
    text = CHART["annotations"][f"{HUB}/{name}"]
    assert isinstance(text, str)
    return text


def test_each_definition_is_listed_for_artifact_hub():
    listed = [(one["name"], one["kind"], one["version"]) for one in yaml.safe_load(annotation("crds"))]  # fmt: skip

    built = [build_crd(definition) for definition in DEFINITIONS]
    assert listed == [
        (one["metadata"]["name"], one["spec"]["names"]["kind"], version["name"])
        for one in built
        for version in one["spec"]["versions"]
    ]


def test_the_example_for_artifact_hub_is_a_valid_product():
    (example,) = yaml.safe_load(annotation("crdsExamples"))

    assert DataProduct.parse(example).spec.slos


def test_licence_and_capability_are_valid_values_of_artifact_hub():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert annotation("license") == project["license"]
    assert annotation("operatorCapabilities") in CAPABILITIES
    assert annotation("operator") == "true"

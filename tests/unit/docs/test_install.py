"""The install page says what the project itself does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cluster.addons.scraping import configuration
from sluicegate.settings import parse_settings
from tests.support.pages.steps import blocks

ROOT = Path(__file__).resolve().parents[3]
INSTALL = ROOT / "docs" / "install.md"
PAGE = INSTALL.read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block.text) for block in blocks(INSTALL) if block.language == "yaml"]


def job(name: str) -> dict[str, object]:
    (jobs,) = (block for block in BLOCKS if isinstance(block, list))
    (found,) = (one for one in jobs if one["job_name"] == name)
    return found


def test_the_documented_scrape_job_of_products_is_used_by_the_tests():
    (ours,) = (
        scrape_config
        for scrape_config in configuration(15)["scrape_configs"]
        if scrape_config["job_name"] == "products"
    )
    assert job("products") == ours


def test_the_documented_kubelet_job_scrapes_the_metrics_that_the_tests_use():
    """But it requires a certificate of the cluster, which the kubelets of the tests don't have."""
    (ours,) = (
        scrape_config
        for scrape_config in configuration(15)["scrape_configs"]
        if scrape_config["job_name"] == "kubelet"
    )
    differing = {"scrape_interval", "scrape_timeout", "metric_relabel_configs", "tls_config"}
    here, there = (
        {k: v for k, v in one.items() if k not in differing} for one in (job("kubelet"), ours)
    )
    assert here == there
    assert "insecure_skip_verify" not in str(job("kubelet"))


@pytest.mark.parametrize(("name", "of_tests"), [("sluicegate", "operator"), ("gateway", "gateway")])
def test_the_other_documented_jobs_scrape_the_pods_and_metrics_that_the_tests_use(
    name: str, of_tests: str
):
    (ours,) = (
        scrape_config
        for scrape_config in configuration(15)["scrape_configs"]
        if scrape_config["job_name"] == of_tests
    )
    differing = {"job_name", "honor_labels"}
    here, there = (
        {k: v for k, v in one.items() if k not in differing} for one in (job(name), ours)
    )
    assert here == there


def test_the_values_of_the_install_page_are_operator_settings():
    (values,) = (block for block in BLOCKS if isinstance(block, dict) and "image" in block)
    named = {
        "SLUICEGATE_" + re.sub(r"([A-Z])", r"_\1", name).upper(): str(value)
        for name, value in values["settings"].items()
    }
    assert parse_settings(named).scrape_interval_seconds == 15


@pytest.mark.parametrize("path", re.findall(r"`((?:charts|crds)/[\w/.]*)`", PAGE))
def test_the_files_named_on_the_install_page_exist(path: str):
    assert (ROOT / path).exists()

"""The alerts that the chart ships: valid, firing when they should, each with a page to open."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "charts" / "sluicegate" / "files" / "alerts.yaml"
CASES = Path(__file__).with_name("alerts.yaml")
RUNBOOK = ROOT / "docs" / "operations.md"
PAGE = "https://sluicegate.dev/docs/operations#"


def promtool_says(promtool: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(promtool), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> list[dict]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def cases() -> list[dict]:
    tests = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    return [case for test in tests for case in test["alert_rule_test"]]


def test_promtool_accepts_the_alert_rules(promtool):
    said = promtool_says(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(ALERTS))
    assert f"{len(alerts())} rules found" in said


def test_the_alert_rules_fire_in_their_documented_cases_only(promtool):
    promtool_says(promtool, "test", "rules", str(CASES))


@pytest.mark.parametrize("name", [rule["alert"] for rule in alerts()])
def test_each_alert_rule_has_a_test_that_fires_and_one_that_does_not(name):
    seen = {bool(case["exp_alerts"]) for case in cases() if case["alertname"] == name}
    assert seen == {True, False}


def test_each_alert_rule_has_a_severity_a_summary_and_a_runbook_section():
    headings = re.findall(r"^### (\S+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    names = [rule["alert"] for rule in alerts()]
    assert [heading for heading in headings if heading.startswith("Sluicegate")] == names
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(".")
        assert rule["annotations"]["runbook_url"] == PAGE + rule["alert"].lower()

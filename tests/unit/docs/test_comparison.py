"""docs/comparison.md has the form that its command writes; its numbers come out in tests/simulation."""

from pathlib import Path

import pytest

from benchmarks.canary_rules import report
from benchmarks.canary_rules.compare import RULES

DOCUMENT = (Path(__file__).parents[3] / "docs" / "comparison.md").read_text(encoding="utf-8")


def test_it_begins_with_what_is_compared():
    assert DOCUMENT.startswith(report.HEAD)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_a_row_for_each_candidate_and_traffic(rule):
    traffics = len(report.RATES) * len(report.BURSTS)
    assert DOCUMENT.count(f"| {rule} |") == 4 * traffics

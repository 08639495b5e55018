"""docs/comparison.md has the form that its command writes; its numbers come out in tests/simulation."""

from pathlib import Path

import pytest

from benchmarks.canary_rules import report
from benchmarks.canary_rules.compare import RULES

DOCUMENT = (Path(__file__).parents[3] / "docs" / "comparison.md").read_text(encoding="utf-8")


def test_the_comparison_page_begins_with_the_compared_rules():
    assert DOCUMENT.startswith(report.HEAD)


@pytest.mark.parametrize("rule", RULES)
def test_the_comparison_page_has_a_row_for_each_rule_candidate_and_traffic(rule):
    traffics = len(report.RATES) * len(report.BURSTS)
    assert DOCUMENT.count(f"| {rule} |") == 4 * traffics

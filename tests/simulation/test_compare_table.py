"""docs/comparison.md is what its command writes."""

from pathlib import Path

import pytest

from sluicegate.simulation import comparison
from sluicegate.simulation.compare import OURS, RULES, compare, worse_by

DOCUMENT = Path(__file__).parents[2] / "docs" / "comparison.md"


def test_the_document_holds_its_head_and_a_row_for_each_rule_candidate_and_traffic():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.startswith(comparison.HEAD)
    traffics = len(comparison.RATES) * len(comparison.BURSTS)
    for rule in RULES:
        assert text.count(f"| {rule} |") == 4 * traffics


@pytest.mark.heavy
@pytest.mark.parametrize("degree", ["equal", "worse by δ"])
def test_rows_of_the_document_come_out_again(degree):
    margins = {"equal": 0.0, "worse by δ": 1.0}[degree]
    _, _, section = DOCUMENT.read_text(encoding="utf-8").partition("\n## 6,000 requests a minute\n")
    section = section.partition("\n## ")[0]
    for one in compare(
        worse_by(comparison.scenario(6_000, 0.0), margins), comparison.RUNS, comparison.SEED
    ):
        assert comparison.row(degree, one.rule, one.summary) in section


@pytest.mark.heavy
@pytest.mark.parametrize("per_minute", comparison.RATES)
def test_ours_alone_keeps_both_promises_in_the_document(per_minute):
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.partition(f"\n## {per_minute:,} requests a minute\n")[2].partition("\n## ")[0]
    assert _share(section, "equal", OURS, column=4) <= 6.5
    assert _share(section, "worse by δ", OURS, column=3) <= 6.5


def _share(section, degree, rule, *, column):
    line = next(line for line in section.splitlines() if line.startswith(f"| {degree} | {rule} |"))
    return float(line.split("|")[column].strip().rstrip("%"))

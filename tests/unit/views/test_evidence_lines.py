"""Evidence as plugin and page print it: rounded, each number beside what the decision needs."""

from __future__ import annotations

from sluicegate.views.product import evidence_lines


def test_evidence_is_rounded_and_has_no_negative_zero():
    (line,) = evidence_lines(
        {
            "evidence": [
                {
                    "slo": "accuracy", "required": True, "promote": "1350.449", "promoteAt": "0.998577",
                    "rollBack": "-0.00147714", "rollBackAt": "4.09434", "candidateBad": 1,
                    "candidateTotal": 10, "stableBad": 2, "stableTotal": 10,
                }
            ]
        }
    )  # fmt: skip
    assert "evidence in favour 1,350.4 of 1.0, against 0.0 of 4.1;" in line

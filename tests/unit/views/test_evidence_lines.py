"""Evidence as plugin and page print it: rounded, each number beside what the decision needs."""

from __future__ import annotations

from sluicegate.views.product import evidence_lines


def test_evidence_is_rounded_and_has_no_negative_zero():
    (line,) = evidence_lines(
        {
            "evidence": [
                {
                    "slo": "accuracy", "required": True, "promote": "1350.449", "promoteAt": "0.998577",
                    "rollBack": "-0.00147714", "rollBackAt": "4.09434", "candidateBad": 103,
                    "candidateTotal": 1040, "stableBad": 0, "stableTotal": 0,
                }
            ]
        }
    )  # fmt: skip
    assert line == (
        "accuracy: 90.1 % (n=1,040) of the candidate, no events of stable;"
        " evidence in favour 1,350.4 of 1.0, against 0.0 of 4.1"
    )


def test_a_hold_out_has_the_share_of_good_events():
    (line,) = evidence_lines({"evaluation": {"accuracy": {"bad": 865, "total": 10_500}}})
    assert line == "accuracy: 91.8 % (n=10,500) on the hold-out"

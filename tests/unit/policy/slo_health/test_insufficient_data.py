"""An SLO with too few events: what a verdict needs, and how long that takes."""

from __future__ import annotations

import pytest

from sluicegate.api.base import rfc3339
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.policy.slo_health.evaluate_slos import judge_stable
from sluicegate.policy.slo_health.messages import describe
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS_A_DAY
from tests.support.decisions.judged import (
    BLOCK,
    START,
    baseline,
    judged_by,
    observed,
    series,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

LAST = START // BLOCK
WITH_OBJECTIVE = AVAILABILITY | {"objective": "0.999"}
DROP_ALONE = {name: value for name, value in ACCURACY.items() if name != "objective"}


def message(slo, blocks, *, evaluated=False, earlier=0):
    """Return the message on an SLO of v1, promoted `earlier` blocks before these blocks up to LAST."""
    terms = judged_by(slo)
    (slo_terms,) = terms.slos
    baselines = {slo_terms.name: baseline(slo_terms, 1000, 10_000)} if evaluated else {}
    status = serving(stable=stable(since=START - (len(blocks) + earlier) * BLOCK, **baselines))
    counts = series(*blocks, first=LAST - len(blocks) + 1)
    seen = observed(block=LAST, series={"v1": {slo_terms.name: counts}})
    assert status.stable is not None
    (result,), _ = judge_stable(terms, status, status.stable, seen)
    assert result.reason is Reason.INSUFFICIENT_DATA
    return describe(result, BLOCK)


@pytest.mark.parametrize(
    ("slo", "blocks", "evaluated", "text"),
    [
        (WITH_OBJECTIVE, [(0, 12)] * 12, False, "within 6 h are needed, which takes"),
        (WITH_OBJECTIVE, [(0, 1)] * 12, False, "and the present pace gives 12"),
        (DROP_ALONE, [(0, 1)] * 12, True, "19 within 1 d are needed, which takes 95 min"),
        (DROP_ALONE, [(10, 100)] * 12, False, ("it has no objective and no model.evaluation, so it is judged by its"
         " own time in production, which needs the time until 1970-02-0")),
    ],
    ids=["enough by the present pace", "too few by the present pace", "a baseline alone", "neither"],
)  # fmt: skip
def test_an_slo_with_too_few_events_reports_the_required_events_and_their_duration(
    slo, blocks, evaluated, text
):
    said = message(slo, blocks, evaluated=evaluated)
    assert "too few events yet to judge" in said
    assert text in said


def test_an_slo_that_is_added_to_an_old_version_needs_the_time_until_the_end_of_this_hour():
    said = message(DROP_ALONE, [(10, 100)] * 2, earlier=2 * HOURS_A_DAY * BLOCKS_PER_HOUR)
    end = (LAST // BLOCKS_PER_HOUR + 1) * BLOCKS_PER_HOUR * BLOCK
    assert f"which needs the time until {rfc3339(end)}" in said

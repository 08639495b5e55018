"""The present, for any counts and any service level: it never breaks, and one event never decides."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluicegate.policy.slo_health.baseline import from_evaluation
from sluicegate.policy.slo_health.current_level import present_level
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import judged_by, series

CLICKS = {"name": "clicks", "indicator": {"events": {"indicator": "clicks"}}}
counts = st.integers(0, 300).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
levels = st.fixed_dictionaries(
    {"maxDrop": st.sampled_from(["0.001", "0.04", "0.5"])},
    optional={"objective": st.sampled_from(["0.001", "0.03", "0.5", "0.999"])},
)


def seen(level, accepted, rows, since=0, earlier=None):
    terms = judged_by({**CLICKS, **level})
    baseline = from_evaluation({"clicks": Count(*accepted)}, terms.slos, 0).get("clicks")
    return present_level(
        terms.slos[0],
        series(*rows),
        baseline,
        now=len(rows),
        since=since,
        earlier=earlier,
        dispersion=1.0,
    )


@given(levels, counts, st.lists(counts, min_size=1, max_size=40), st.integers(0, 40))
@example({"maxDrop": "0.04"}, (291, 300), [(0, 0)] * 5, 0)
def test_the_current_level_is_computed_for_any_counts_without_an_error(
    level, accepted, rows, since
):
    assert seen(level, accepted, rows, since).message


@given(levels, counts, st.booleans(), st.integers(1, 60))
def test_a_single_event_after_a_silence_never_makes_the_level_bad(level, accepted, bad, silence):
    rows = [(100, 100)] * 40 + [(0, 0)] * silence + [(int(bad), 1)]
    assert seen(level, accepted, rows).bad is not True


def test_one_good_event_is_no_recovery_of_an_slo_with_mostly_bad_events():
    accepted, rows = (290, 300), [(100, 100)] * 40 + [(0, 0)] * 30
    assert seen({"maxDrop": "0.02"}, accepted, [*rows, (0, 1)]).bad is None
    assert seen({"maxDrop": "0.02"}, accepted, [*rows, (570, 600)]).bad is False


@pytest.mark.parametrize(
    ("earlier", "rows", "bad"),
    [
        (None, [(10, 100)] * 6, False),
        (True, [(3, 30)] * 3, True),  # could be a fall by 5 points, too
        (True, [(50, 500)] * 6, False),
        (True, [(13, 100)] * 6, True),
        (False, [(13, 100)] * 6, False),
        (None, [(17, 100)] * 12, True),
        (False, [(17, 100)] * 12, True),
        (True, [(0, 0)] * 6, None),
        (False, [(0, 0)] * 6, None),
    ],
)
def test_the_current_level_is_kept_until_enough_events_contradict_it(earlier, rows, bad):
    assert seen({"maxDrop": "0.05"}, (4000, 40_000), rows, earlier=earlier).bad is bad

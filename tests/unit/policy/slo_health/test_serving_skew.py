"""What a training scores of the stable version, against what it does live: decay, or other data than it was trained on."""

from __future__ import annotations

from math import comb

import pytest

from sluicegate.api.engine import SloRecord, Streak
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import RetrainingStatus, StableScore
from sluicegate.api.versions import PastVersion, VersionSource
from sluicegate.policy.model.observed import TrainingScored, TrainingSucceeded
from sluicegate.policy.slo_health.serving_skew import (
    accepted_share,
    compare,
    next_score_time,
    score_of,
)
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import (
    BLOCK,
    START,
    V1,
    V2,
    V3,
    baseline,
    judged_by,
    observed,
    series,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY

TERMS = judged_by(ACCURACY)
(SLO,) = TERMS.slos
FIRST = START // BLOCK
"""The first bad block."""
PROMOTED = START - 30 * 86_400


def compared(
    scored, live, *, share="1", start=START, end=START + 3600, promoted=PROMOTED, **status
):
    """Return v1, accepted with 10 % of 10,000 bad, with a score of a training."""
    score = StableScore(
        version="v1", evaluation={"accuracy": scored}, live={"accuracy": live}, live_share=share,
        start_time=start, end_time=end, inputs=status.pop("inputs", ""),
        feature_differences=status.pop("features", None),
    )  # fmt: skip
    known = {
        "stable": stable(since=promoted, accuracy=baseline(SLO, 1000, 10_000)),
        "retraining": RetrainingStatus(stable_score=score),
        "slos": {
            "accuracy": SloRecord(
                degraded=True, streak=Streak(first=FIRST, last=FIRST + 3, evaluations=3, fresh=3)
            )
        },
    }
    return compare(TERMS, serving(**(known | status)), SLO)


def rows(bad, total=4000):
    return {"bad": bad, "total": total}


@pytest.mark.parametrize(
    ("scored", "live", "differs"),
    [
        pytest.param(rows(400), rows(850, 1000), True, id="kilometres for miles"),
        pytest.param(rows(1600), rows(400, 1000), False, id="the rows are as bad as the live answers"),
        pytest.param(rows(420), rows(125, 1000), None, id="too close to distinguish"),
        pytest.param(rows(40, 400), rows(3, 10), None, id="ten live answers"),
        pytest.param(rows(4, 40), rows(850, 1000), None, id="forty rows show nothing"),
        pytest.param(rows(800), rows(850, 1000), False, id="both: a decay comes first, and is trained"),
    ],
)  # fmt: skip
def test_good_scores_on_training_rows_with_bad_live_answers_prove_a_serving_skew(
    scored, live, differs
):
    assert compared(scored, live).differs is differs


@pytest.mark.parametrize(
    ("scored", "live", "differs"),
    [
        pytest.param(rows(118, 1000), rows(24_900, 36_000), True, id="1.8 of 59 points"),
        pytest.param(rows(118, 1000), rows(9_000, 36_000), None, id="1.8 of 15 points"),
        pytest.param(rows(170, 1000), rows(24_900, 36_000), False, id="7 points are a decay, too"),
        pytest.param(rows(12, 100), rows(24_900, 36_000), None, id="a hundred rows may hide a fifth"),
    ],
)  # fmt: skip
def test_rows_that_explain_at_most_a_fifth_of_the_live_fall_prove_a_serving_skew(
    scored, live, differs
):
    assert compared(scored, live).differs is differs


def test_few_rows_explain_more_of_the_live_fall_where_the_version_served_in_a_part_of_their_time():
    few, live = rows(118, 1000), rows(24_900, 36_000)
    assert compared(few, live, share="0.9").differs is True
    assert compared(few, live, share="0.2").differs is None


def test_rows_that_explain_a_fifth_of_a_fall_pass_as_a_skew_as_rarely_as_the_bounds_allow():
    """The live answers fell by 40 points, the rows by a fifth of that; each bound misses in 0.1 %."""
    total, share, live = 600, 0.1 + 0.2 * 0.4, rows(18_000, 36_000)
    passing = [bad for bad in range(total + 1) if compared(rows(bad, total), live).differs]
    assert sum(binomial(bad, total, share) for bad in passing) <= 0.002


def binomial(bad, total, share):
    """Return the probability of exactly so many bad rows."""
    return comb(total, bad) * share**bad * (1 - share) ** (total - bad)


def test_the_skew_message_has_shares_and_sample_sizes_of_both_sides_and_the_time_of_the_rows():
    found = compared(rows(552), rows(1300, 1500))
    assert found.message == (
        "the training scores v1 at 86.2 % (n=4,000) on rows since 1970-02-04T17:20:00Z, live it is"
        " 13.3 % (n=1,500) in the same time"
    )
    assert ": what is served differs from what is trained on" in (
        compared(rows(400), rows(850, 1000)).message
    )


@pytest.mark.parametrize(
    ("features", "text"),
    [
        (None, " (to name the features, set serving.log, and add labelled_features to the recipe)"),
        ({"compared": 0}, " (no feature is compared: the training or serving.log has no rows of that time)"),
        ({"compared": 12}, " (none of 12 features is shown to differ)"),
        ({"compared": 12, "largest": ["mileage (median 9 in …)", "fuel (missing in …)"]}, ", most in mileage (median 9 in …), fuel (missing in …)"),
    ],
    ids=["not compared", "no rows", "none differs", "two differ"],
)  # fmt: skip
def test_a_skew_names_the_features_that_differ_most_or_what_names_them(features, text):
    found = compared(rows(400), rows(850, 1000), features=features).message
    assert found.endswith(f"what is served differs from what is trained on{text}")


def test_features_are_not_named_where_no_skew_is_shown():
    features = {"compared": 1, "largest": ["mileage (median 9 in …)"]}
    assert "mileage" not in compared(rows(1600), rows(400, 1000), features=features).message


def test_rows_of_unknown_age_prove_no_skew_and_the_message_names_the_missing_field():
    found = compared(rows(400), rows(850, 1000), start=None)
    assert (found.differs, found.undated) == (None, True)
    assert "let the training report holdOutStartTime" in found.message


@pytest.mark.parametrize(("share", "differs"), [("1", True), ("0.5", True), ("0.02", None)])
def test_training_rows_older_than_the_version_count_with_its_accepted_share(share, differs):
    """A week of rows with an hour of a version that is wrong in all of them scores as the week does."""
    assert compared(rows(420), rows(850, 1000), share=share).differs is differs


def test_a_skew_score_is_valid_for_one_degradation_one_version_and_one_training_spec():
    skewed = (rows(400), rows(850, 1000))
    assert compared(*skewed, end=FIRST * BLOCK) is None
    assert compared(*skewed, stable=stable(since=PROMOTED).replace(version="v9")) is None
    corrected = judged_by(
        ACCURACY, retraining={"command": ["train"], "output": "registry.example/a/b"}
    )
    assert corrected.retraining is not None
    status = serving(
        stable=stable(since=PROMOTED, accuracy=baseline(SLO, 1000, 10_000)),
        retraining=RetrainingStatus(
            stable_score=StableScore(
                version="v1",
                evaluation={"accuracy": rows(400)},
                live={"accuracy": rows(850, 1000)},
                live_share="1",
                start_time=START,
                end_time=START + 3600,
                inputs="another",
            )
        ),
    )
    assert compare(corrected, status, SLO) is None


@pytest.mark.parametrize(
    ("edit", "kept"),
    [
        ({"resources": {"limits": {"memory": "8Gi"}}}, True),
        ({"timeoutSeconds": 90}, True),
        ({"command": ["fit"]}, False),
    ],
)
def test_a_skew_score_outlasts_edits_that_change_no_score(edit, kept):
    spec = {"command": ["train"], "output": "registry.example/a/b"}
    before, after = (judged_by(ACCURACY, retraining=each) for each in (spec, spec | edit))
    assert before.retraining is not None
    scored = TrainingScored("", V1, {"accuracy": rows(400)}, hold_out_start=START)
    attempt = RetrainingStatus(inputs=before.retraining.inputs)
    status = serving(
        stable=stable(since=PROMOTED, accuracy=baseline(SLO, 1000, 10_000)), retraining=attempt
    )
    counts = observed(
        block=FIRST + 12, series={"v1": {"accuracy": series(*[(85, 100)] * 12, first=FIRST + 1)}}
    )
    score = score_of(before, status, counts, scored, now=START + 3600)
    status = status.replace(retraining=attempt.replace(stable_score=score))
    assert (compare(after, status, SLO) is not None) is kept


@pytest.mark.parametrize(
    ("age", "source", "degraded", "reason"),
    [
        (BLOCK, VersionSource.SPEC, (), Reason.CODE_NOT_DATA),
        (86_400, VersionSource.SPEC, (), Reason.SERVING_SKEW),
        (BLOCK, VersionSource.RETRAINING, (), Reason.SERVING_SKEW),
        (BLOCK, VersionSource.SPEC, ("accuracy",), Reason.SERVING_SKEW),
    ],
    ids=["since its release", "a day later", "of a training", "the version before was as bad"],
)
def test_a_skew_of_a_pushed_version_that_is_bad_since_its_release_is_caused_by_its_code(
    age, source, degraded, reason
):
    before = PastVersion.of(
        V2, VersionSource.SPEC, outcome=Outcome.REPLACED, promotion_time=0, end_time=START - age, degraded=degraded
    )  # fmt: skip
    now = stable(since=START - age, accuracy=baseline(SLO, 1000, 10_000)).replace(source=source)
    assert compared(rows(400), rows(850, 1000), stable=now, history=(before,)).cause is reason


def test_the_training_report_includes_live_counts_of_the_time_of_its_rows():
    blocks = series(*[(10, 100)] * 6, *[(85, 100)] * 6, first=FIRST - 6)
    seen = observed(block=FIRST + 5, series={"v1": {"accuracy": blocks}})
    result = TrainingSucceeded(
        trigger="", parent=V1, release=V3, evaluation={}, stable_evaluation={"accuracy": Count(400, 4000)},
        hold_out_start=START - 3 * BLOCK, data_end=START + 3 * BLOCK,
    )  # fmt: skip
    status = serving(stable=stable(since=PROMOTED))
    score = score_of(TERMS, status, seen, result, now=START + 6 * BLOCK)
    assert score.live == {"accuracy": (2 * 10 + 4 * 85, 600)} or score.live == {
        "accuracy": (3 * 10 + 3 * 85, 600)
    }
    assert (score.live_share, score.start_time, score.end_time) == (
        1,
        START - 3 * BLOCK,
        START + 3 * BLOCK,
    )
    later = score_of(
        TERMS, serving(stable=stable(since=START)), seen, result, now=START + 6 * BLOCK
    )
    assert later.live_share == 0.5


def scored_alone(seconds, **score):
    """Return status of v1, degraded since FIRST, with a score on the rows of the last `seconds` before `end_time`."""
    values = {
        "version": "v1", "evaluation": {"accuracy": rows(40, 400)}, "live": {"accuracy": rows(3, 10)},
        "live_share": "1", "start_time": START, "end_time": START + seconds, "alone": True,
    }  # fmt: skip
    streak = Streak(first=FIRST, last=FIRST + 3, evaluations=3, fresh=3)
    return serving(
        stable=stable(since=PROMOTED, accuracy=baseline(SLO, 1000, 10_000)),
        retraining=RetrainingStatus(stable_score=StableScore(**(values | score))),
        slos={"accuracy": SloRecord(degraded=True, streak=streak)},
    )


@pytest.mark.parametrize(
    ("status", "share"),
    [
        (serving(stable=stable(since=PROMOTED, accuracy=baseline(SLO, 1000, 10_000))), 0.1 + SLO.drop / 2),
        (scored_alone(3600), 0.1 + SLO.drop / 2),
        (scored_alone(86_400), None),
        (scored_alone(86_400, alone=False), 0.1 + SLO.drop / 2),
    ],
    ids=["no score", "an hour of rows", "a day of rows", "the score of a training"],
)  # fmt: skip
def test_a_training_has_to_fit_after_a_day_of_undecided_scores(status, share):
    expected = None if share is None else pytest.approx(share, rel=1e-3)
    assert accepted_share(TERMS, status, observed(), SLO) == expected


def test_a_training_ends_before_its_fit_by_rows_that_explain_at_most_a_fifth_of_the_live_fall():
    status = serving(
        stable=stable(since=PROMOTED, accuracy=baseline(SLO, 1000, 10_000)),
        slos={
            "accuracy": SloRecord(
                degraded=True, streak=Streak(first=FIRST, last=FIRST + 11, evaluations=3, fresh=3)
            )
        },
    )
    blocks = series(*[(10, 100)] * 6, *[(850, 1000)] * 12, first=FIRST - 6)
    seen = observed(block=FIRST + 11, series={"v1": {"accuracy": blocks}})
    share = accepted_share(TERMS, status, seen, SLO)
    assert 0.1 + 0.2 * 0.72 < share < 0.1 + 0.2 * 0.75, "the live fall is 75 points, with its bound"


@pytest.mark.parametrize(
    ("scored", "live", "share"),
    [
        pytest.param(rows(8, 50), rows(80, 1000), 0.115, id="undecided: the score is repeated"),
        pytest.param(rows(200, 1000), rows(250, 1000), None, id="a decay of the model is trained"),
        pytest.param(rows(18, 97), rows(850, 1000), 0.115, id="a tenth of the live fall needs more rows"),
        pytest.param(rows(800), rows(850, 1000), None, id="a decay beside another cause is trained"),
    ],
)  # fmt: skip
def test_rows_that_explain_little_of_the_live_fall_need_more_evidence_of_a_decay(
    scored, live, share
):
    status = scored_alone(3600, evaluation={"accuracy": scored}, live={"accuracy": live})
    expected = None if share is None else pytest.approx(share, rel=1e-3)
    assert accepted_share(TERMS, status, observed(), SLO) == expected
    assert (next_score_time(TERMS, status, SLO) is None) is (share is None)


@pytest.mark.parametrize(
    ("status", "time"),
    [
        (scored_alone(3600), START + 7200),
        (scored_alone(86_400), None),
        (scored_alone(3600, alone=False), None),
        (scored_alone(3600, version="v9"), None),
        (scored_alone(-10 * BLOCK), None),
    ],
    ids=[
        "once the rows have doubled",
        "a day of rows",
        "of a training",
        "of another version",
        "of an earlier degradation",
    ],
)
def test_an_undecided_score_is_repeated_once_its_time_has_doubled(status, time):
    assert next_score_time(TERMS, status, SLO) == time

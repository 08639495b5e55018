"""What a training reports of the stable version, against what that version does live in the same time.

A training scores the stable version on the rows of its hold-out. If these are as good as accepted
and the same version is badly worse live, what is served differs from what is trained on: a unit, a
renamed or missing feature, another code. The rows of a training don't show that, so no training
remedies it. Rows that are as bad as the live answers show a model that no longer fits its data.

A training that scores the stable version before it fits another one ends there if the score is as
accepted: then nothing was trained. Its rows are those since the change, so they are few at first: the
score is repeated as its time doubles, and after a day the training fits whatever the score is.

Few rows can't show that they are as accepted within points. They are enough where the live answers
fell by far more than the rows may have fallen (docs/adr/0032).

Both are compared over the time of the rows, so rows of weeks don't hide a change of an hour ago: as
long as most of them are older than the change, nothing is concluded.
"""

from dataclasses import dataclass
from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.api.baseline import Baseline
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.retraining_status import FeatureDifferences, StableScore
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import VersionSource
from sluicegate.policy.model.history import previous
from sluicegate.policy.model.observed import Observed, TrainingScored, TrainingSucceeded
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health.baseline import ratio_of, usable_baseline
from sluicegate.stats.calendar import BLOCKS_PER_HOUR
from sluicegate.stats.canary_duration import warmed_up
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.intervals import (
    Z95,
    newcombe_difference,
    quantile,
    wilson_lower,
    wilson_upper,
)
from sluicegate.views.numbers import events, percent

Z_APART: Final = quantile(0.999)
"""Confidence of each bound by which the live answers are worse than the rows."""
MAX_EXPLAINED: Final = 0.2
"""Part of the live fall that the rows explain at most, where what is served is the cause."""
_SHARE_DIGITS: Final = 4
"""Digits of a share in a trigger, which people read."""
RELEASE_BLOCKS: Final = BLOCKS_PER_HOUR
"""A fall within so many blocks after a release is due to the release, if the rows don't show it."""


@dataclass(frozen=True, slots=True)
class SkewComparison:
    """The stable version's scores on a training's hold-out, and its live counts of the same time.

    Attributes
    ----------
    differs : whether the version is as accepted on the rows, and badly worse live; None without a
        verdict.
    message : both shares, with their numbers of events, and the features that differ most.
    since_release : the fall began with the release of the version, which replaced a good one.
    undated : both differ, but the training reported no begin of its rows.
    """

    differs: bool | None
    message: str
    since_release: bool = False
    undated: bool = False

    @property
    def cause(self) -> Reason:
        """Return the cause, if both differ."""
        return Reason.CODE_NOT_DATA if self.since_release else Reason.SERVING_SKEW


def score_of(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    result: TrainingSucceeded | TrainingScored,
    *,
    now: int,
) -> StableScore | None:
    """Return a training's score of stable, with the live counts of the same time; None without a score.

    The blocks of that time are kept singly for hours only, so they are counted once, at `now`.
    """
    stable = status.stable
    if stable is None or not result.stable_evaluation:
        return None
    end = now if result.data_end is None else min(result.data_end, now)
    begin_time = result.hold_out_start
    if begin_time is None:
        bad = [_first_bad(terms, status, slo) for slo in terms.slos if _is_degraded(status, slo)]
        begin_time = min(bad, default=end) - terms.block_seconds
    served_from = min(max(begin_time, stable.promotion_time), end)
    live = {
        slo: series.between(served_from // terms.block_seconds, end // terms.block_seconds)
        for slo in result.stable_evaluation
        for series in [observed.counts(stable.version, slo)]
        if series is not None
    }
    return StableScore(
        version=stable.version,
        evaluation=dict(result.stable_evaluation),
        live=live,
        live_share=(end - served_from) / max(end - begin_time, 1),
        start_time=result.hold_out_start,
        end_time=end,
        change_time=None if status.training is None else status.training.change_time,
        inputs=_inputs(terms, status),
        alone=True if isinstance(result, TrainingScored) else None,
        feature_differences=result.feature_differences,
    )


def accepted_share(
    terms: Terms, status: DataProductStatus, observed: Observed, slo: SloTerms
) -> float | None:
    """Return the share of wrong rows up to which a training ends before its fit.

    It is half of the allowed drop above what was accepted, or a fifth of the live fall since the first bad
    block, where that is proved to be larger: such rows may explain too little of the fall to train for.

    None where a training has to fit: the SLO counts no right and wrong answers, nothing is known to
    be accepted, the last score shows a decay, or scores of a day of rows were undecided.
    """
    if status.stable is None or not slo.measures_quality or slo.gauge is not None:
        return None
    baseline = usable_baseline(status.stable.baseline.get(slo.name), slo)
    accepted = slo.allowed_bad_ratio if baseline is None else ratio_of(baseline.count)
    score = _separate_score(terms, status, slo)
    if accepted is None or (score is not None and _has_to_fit(terms, slo, score, baseline)):
        return None
    series = observed.counts(status.stable.version, slo.name)
    block_before = (_first_bad(terms, status, slo) - terms.block_seconds) // terms.block_seconds
    live = NOTHING if series is None else series.between(block_before, observed.block)
    share = accepted + max(slo.drop / 2, MAX_EXPLAINED * _proved_fall(live, baseline))
    return round(share, _SHARE_DIGITS)


def next_score_time(terms: Terms, status: DataProductStatus, slo: SloTerms) -> int | None:
    """Return when the stable version is scored again after an undecided score, in seconds.

    None without such a score, and where the next training has to fit.
    """
    score = _separate_score(terms, status, slo)
    if score is None or status.stable is None:
        return None
    baseline = usable_baseline(status.stable.baseline.get(slo.name), slo)
    if _has_to_fit(terms, slo, score, baseline):
        return None
    return score.end_time + _duration(score)


def _has_to_fit(terms: Terms, slo: SloTerms, score: StableScore, baseline: Baseline | None) -> bool:
    """Return whether the training after a score fits: the rows show a decay, or a day of them shows nothing."""
    return _duration(score) >= terms.day_seconds or _are_bad(slo, score, baseline)


def _separate_score(terms: Terms, status: DataProductStatus, slo: SloTerms) -> StableScore | None:
    """Return this degradation's score from a Job that ended before its fit; None without one."""
    score = _score(terms, status, slo)
    if score is None or not score.alone or score.end_time <= _first_bad(terms, status, slo):
        return None
    return score


def _duration(score: StableScore) -> int:
    """Return the length of the time of the rows, in seconds."""
    return score.end_time - (score.end_time if score.start_time is None else score.start_time)


def compare(terms: Terms, status: DataProductStatus, slo: SloTerms) -> SkewComparison | None:
    """Compare the newest score of the stable version with its live counts; None without a score.

    A score counts for the degradation in which it was made, and until the training is corrected.
    """
    stable, score = status.stable, _score(terms, status, slo)
    if stable is None or score is None:
        return None
    first = _first_bad(terms, status, slo)
    scored_count, live = score.evaluation[slo.name], score.live.get(slo.name, NOTHING)
    if score.end_time <= first or live.total == 0 or scored_count.total == 0:
        return None
    baseline = usable_baseline(stable.baseline.get(slo.name), slo)
    has_difference = _live_differs(slo, score, baseline)
    is_undated = bool(has_difference) and score.start_time is None
    rows = "" if score.start_time is None else f" on rows since {rfc3339(score.start_time)}"
    text = (
        f"the training scores {stable.version} at {percent(1 - (scored_count.ratio or 0.0))}"
        f" ({events(scored_count.total)}){rows}, live it is {percent(1 - (live.ratio or 0.0))}"
        f" ({events(live.total)}) in the same time"
    )
    if is_undated:
        has_difference = None
        text += (
            "; whether its rows are of that time is unknown: let the training report"
            " holdOutStartTime, the begin of its hold-out"
        )
    # Hours are judged as a whole, so the first bad block is hours after the change.
    begin = first if score.change_time is None else min(score.change_time, first)
    is_of_release = _is_bad_since_release(terms, status, slo, begin)
    if has_difference:
        text += ": what is served differs from what is trained on"
        text += _features_text(score.feature_differences, is_of_release=is_of_release)
    return SkewComparison(has_difference, text, is_of_release, undated=is_undated)


def _features_text(differences: FeatureDifferences | None, *, is_of_release: bool) -> str:
    """Return a clause that names the features which differ, or what is needed for it."""
    if differences is None:
        names = "to name the features, set serving.log, and add labelled_features to the recipe"
        return "" if is_of_release else f" ({names})"
    if differences.compared == 0:
        return " (no feature is compared: the training or serving.log has no rows of that time)"
    if not differences.largest:
        return f" (none of {differences.compared} features is shown to differ)"
    return f", most in {', '.join(differences.largest)}"


def _is_degraded(status: DataProductStatus, slo: SloTerms) -> bool:
    return slo.deciding and status.engine.slo(slo.name).degraded


def _score(terms: Terms, status: DataProductStatus, slo: SloTerms) -> StableScore | None:
    """Return the present training's score of the present stable version; None without one."""
    score = status.retraining.stable_score if status.retraining else None
    if score is None or status.stable is None or score.version != status.stable.version:
        return None
    retraining = terms.retraining
    # Scores of earlier releases have all inputs of the attempt.
    if retraining and score.inputs not in {"", retraining.score_inputs, retraining.inputs}:
        return None
    is_scored_live = slo.measures_quality and slo.gauge is None
    return score if is_scored_live and slo.name in score.evaluation else None


def _inputs(terms: Terms, status: DataProductStatus) -> str:
    """Return the hashes of what a score follows from; those of the attempt where the spec is another one since."""
    attempt = status.retraining.inputs if status.retraining else ""
    retraining = terms.retraining
    if retraining is not None and attempt == retraining.inputs:
        return retraining.score_inputs
    return attempt


def _first_bad(terms: Terms, status: DataProductStatus, slo: SloTerms) -> int:
    """Return the end of the first bad block, in seconds."""
    assert status.stable is not None
    streak = status.engine.slo(slo.name).streak
    return terms.block_end(streak.first) if streak else status.stable.promotion_time


def _live_differs(slo: SloTerms, score: StableScore, baseline: Baseline | None) -> bool | None:
    """Return whether the live answers are worse than the rows, which don't explain it; None if undecided.

    The rows don't explain it if they are as accepted, or fell by far less. If the model had decayed, the rows were as bad as the live answers: those of the time in which
    the version didn't serve yet count as accepted.
    """
    scored_count, live = score.evaluation[slo.name], score.live[slo.name]
    accepted = slo.allowed_bad_ratio if baseline is None else ratio_of(baseline.count)
    phi = 1.0 if baseline is None else baseline.phi
    if accepted is None:
        return None
    rows = wilson_upper(scored_count.bad, scored_count.total, Z_APART)
    lower_bound = wilson_lower(live.bad / phi, live.total / phi, Z_APART)
    expected = score.live_share * lower_bound + (1 - score.live_share) * accepted
    if _are_bad(slo, score, baseline):
        return False
    is_apart = lower_bound - rows > slo.drop and expected > rows
    is_unexplained = _are_as_accepted(slo, scored_count, baseline) or _explain_little(
        score, slo.name, baseline
    )
    return True if is_apart and is_unexplained else None


def _are_as_accepted(slo: SloTerms, scored_count: Count, baseline: Baseline | None) -> bool:
    """Return whether the rows are shown to be as accepted, within the SLO's allowed drop."""
    if baseline is None or baseline.count.total == 0:
        allowed = slo.allowed_bad_ratio
        return (
            allowed is not None
            and wilson_upper(scored_count.bad, scored_count.total, Z95) <= allowed
        )
    accepted = (baseline.count.bad / baseline.phi, baseline.count.total / baseline.phi)
    return newcombe_difference(scored_count, accepted, Z95).upper <= slo.drop


def _explain_little(score: StableScore, slo: str, baseline: Baseline | None) -> bool:
    """Return whether the rows fell by at most `MAX_EXPLAINED` of the live fall of the same time.

    Rows that explain more pass if one of two bounds misses, each nominally in 0.1 % of scores. If the
    version didn't serve all the time of the rows, the live fall counts in proportion.
    """
    if baseline is None or baseline.count.total == 0:
        return False
    accepted = (baseline.count.bad / baseline.phi, baseline.count.total / baseline.phi)
    of_rows = newcombe_difference(score.evaluation[slo], accepted, Z_APART).upper
    of_live = _proved_fall(score.live[slo], baseline)
    return of_rows <= MAX_EXPLAINED * score.live_share * of_live


def _proved_fall(live: Count, baseline: Baseline | None) -> float:
    """Return the lower bound of the live fall, in shares of events; 0 without a baseline or events."""
    if baseline is None or baseline.count.total == 0 or live.total == 0:
        return 0.0
    phi = baseline.phi
    accepted = (baseline.count.bad / phi, baseline.count.total / phi)
    return newcombe_difference((live.bad / phi, live.total / phi), accepted, Z_APART).lower


def _are_bad(slo: SloTerms, score: StableScore, baseline: Baseline | None) -> bool:
    """Return whether the rows are shown to be worse than accepted.

    Where they explain little of the live fall, another cause has to explain the rest of it, so the rows need
    the confidence of `Z_APART` to show a decay beside it.
    """
    accepted = slo.allowed_bad_ratio if baseline is None else ratio_of(baseline.count)
    scored_count = score.evaluation[slo.name]
    if accepted is None or scored_count.total == 0:
        return False
    fall_of_rows = (scored_count.ratio or 0.0) - accepted
    fall = score.live_share * _proved_fall(score.live.get(slo.name, NOTHING), baseline)
    z_score = Z_APART if fall_of_rows <= MAX_EXPLAINED * fall else Z95
    return wilson_lower(scored_count.bad, scored_count.total, z_score) > accepted + slo.drop / 2


def _is_bad_since_release(
    terms: Terms, status: DataProductStatus, slo: SloTerms, begin: int
) -> bool:
    """Return whether a version from spec.model is bad since its release and replaced a good one.

    Parameters
    ----------
    begin : of the fall, in seconds.
    """
    stable, replaced_version = status.stable, previous(status.accepted_versions)
    if stable is None or replaced_version is None or stable.source is not VersionSource.SPEC:
        return False
    if stable.restored or slo.name in replaced_version.degraded:
        return False
    warm_time = warmed_up(stable.promotion_time, terms.block_seconds)
    return begin <= terms.block_end(warm_time + RELEASE_BLOCKS)

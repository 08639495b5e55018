"""status is the state: what is written is read again, whatever it holds."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.engine import EngineState, OriginalBaseline, SloRecord, Streak, TimeInterval
from sluicegate.api.outcome import Outcome
from sluicegate.api.product import read_status
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.status import DataProductStatus, LastHandled, SpecModel
from sluicegate.api.versions import (
    ApiComparison,
    Candidate,
    CandidatePhase,
    PastVersion,
    Probation,
    Release,
    Share,
    Version,
    VersionSource,
)
from sluicegate.stats.counts import Count

SECONDS = st.integers(0, 4_000_000_000)
WORDS = st.text("abc-1", min_size=1, max_size=8)
FLOATS = st.floats(-1e9, 1e9, allow_nan=False)
COUNTS = st.tuples(st.integers(0, 2**20), st.integers(0, 2**40)).map(
    lambda pair: Count(pair[0], pair[0] + pair[1])
)
RELEASES = st.builds(Release, WORDS, WORDS, WORDS, WORDS)
SOURCES = st.sampled_from(VersionSource)


def by_slo(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(WORDS, values, max_size=3)


def a_model(kind: Any, **fields: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, **fields)


def a_version(kind: Any, **fields: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind.of, RELEASES, SOURCES, **fields)


BASELINES = by_slo(
    a_model(
        Baseline,
        bad=st.integers(0, 2**53), total=st.integers(0, 2**53), startTime=SECONDS, endTime=SECONDS,
        source=st.sampled_from(BaselineSource), phi=FLOATS, mean=FLOATS, deviation=FLOATS,
        weekdays=st.lists(COUNTS, max_size=7).map(tuple),
    )
)  # fmt: skip
STREAKS = st.none() | a_model(
    Streak,
    first=SECONDS, last=SECONDS, evaluations=st.integers(1, 99), fresh=st.integers(0, 99),
)  # fmt: skip
RECORDS = a_model(
    SloRecord,
    streak=STREAKS, recovery_streak=STREAKS, degraded=st.booleans(), steady_start_time=st.none() | SECONDS,
    since=SECONDS, disturbance_start_time=st.none() | SECONDS, terms_hash=WORDS,
    ignored_intervals=st.lists(a_model(TimeInterval, startTime=SECONDS, endTime=SECONDS), max_size=3).map(tuple),
)  # fmt: skip
ENGINES = a_model(
    EngineState,
    outage_start_time=st.none() | SECONDS, emitted_alerts=st.lists(WORDS, max_size=3).map(tuple),
    slos=by_slo(RECORDS), probation_baselines=BASELINES, candidate_baselines=BASELINES,
    correlation=by_slo(FLOATS),
    original_baseline=st.none() | a_model(OriginalBaseline, version=WORDS, slos=BASELINES),
)  # fmt: skip
CANDIDATES = a_version(
    Candidate,
    phase=st.sampled_from(CandidatePhase), start_time=SECONDS, weight=st.integers(0, 100),
    shares=st.lists(a_model(Share, weight=st.integers(0, 100), start_time=SECONDS), max_size=4).map(tuple),
    evaluation=by_slo(COUNTS), retry_time=st.none() | SECONDS, suspended_seconds=st.integers(0, 99),
    api=st.none() | st.sampled_from(ApiComparison), restoring=st.booleans(),
)  # fmt: skip
STATUSES = a_model(
    DataProductStatus,
    stable=st.none() | a_version(Version, promotion_time=SECONDS, baseline=BASELINES),
    candidate=st.none() | CANDIDATES,
    history=st.lists(
        a_version(
            PastVersion,
            outcome=st.sampled_from(Outcome), promotion_time=st.none() | SECONDS, end_time=SECONDS,
            baseline=BASELINES, record=by_slo(COUNTS), degraded=st.lists(WORDS, max_size=2).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    probation=st.none() | a_model(Probation, version=WORDS, against=WORDS, start_time=SECONDS),
    retraining=st.none() | a_model(
        RetrainingStatus,
        trigger=st.none() | a_model(Trigger, id=WORDS, cause=WORDS, version=WORDS, trigger_time=SECONDS),
        unsuccessful_attempts=st.integers(0, 5), next_allowed_time=st.none() | SECONDS,
    ),
    spec_model=st.none() | st.builds(
        SpecModel.of, RELEASES, st.sampled_from(Outcome), SECONDS
    ),
    last_handled=st.none() | a_model(LastHandled, rollback_to=WORDS),
    engine=ENGINES,
)  # fmt: skip


@given(STATUSES)
def test_a_status_equals_itself_after_a_round_trip_through_json(status):
    written = json.loads(json.dumps(status.to_dict()))
    assert read_status(written) == status
    assert read_status(written).to_dict() == written

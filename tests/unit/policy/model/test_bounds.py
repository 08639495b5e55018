"""What is remembered fits in status, whatever was renamed, edited or told."""

from __future__ import annotations

import json

import pytest

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.engine import EngineState, OriginalBaseline, SloRecord
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import (
    Candidate,
    CandidatePhase,
    Probation,
    Release,
    Version,
    VersionSource,
)
from sluicegate.policy.model.bounds import bounded
from sluicegate.policy.model.terms import terms_of
from sluicegate.policy.rollout.candidates import with_share
from sluicegate.stats.canary_duration import expected_seconds
from sluicegate.stats.counts import Count
from sluicegate.stats.sequential_test import sequential_evidence
from tests.support.decisions.rollout_world import ACCURACY, RUNTIME, document, image

NAMES = [f"slo-{number}" for number in range(24)]
"""Of SLOs that the product has had; status holds sixteen."""


def product(slos: list[dict]) -> DataProduct:
    return DataProduct.parse(document(slos=slos))


def test_renamed_slos_and_lasting_alerts_keep_status_within_its_schema_limits():
    """The seventeenth name, or the thirty-third alert, wedged the product indefinitely."""
    spec = product([ACCURACY | {"name": NAMES[0]}, ACCURACY | {"name": NAMES[1]}])
    terms = terms_of(spec)
    baselines = {
        name: Baseline.of(Count(1, 100), 0, 600, BaselineSource.PRODUCTION) for name in NAMES
    }
    stable = Release("v2", image("b"), RUNTIME)
    status = DataProductStatus(
        stable=Version.of(stable, VersionSource.SPEC, promotion_time=600),
        probation=Probation(version="v2", against="v1", start_time=600),
        engine=EngineState().replace(  # more than status can hold
            slos={name: SloRecord(terms_hash="0") for name in NAMES},
            original_baseline=OriginalBaseline(version="v1").replace(slos=baselines),
            probation_baselines=baselines,
            emitted_alerts=tuple(f"ModelDecay/{number}" for number in range(33)),
            tried_markets=tuple(f"M{number}" for number in range(66)),
        ),
    )
    status = status.replace(stable=status.stable.replace(baseline=baselines))
    after = bounded(terms, status)
    document = json.dumps(after.to_dict())
    assert DataProductStatus.model_validate_json(document, by_name=False) == after
    assert list(after.stable.baseline) == NAMES[:2]
    assert list(after.engine.original_baseline.slos) == NAMES[:2]
    assert after.engine.emitted_alerts[-1] == "ModelDecay/32", "the newest are kept"
    assert bounded(terms, after) is after


@pytest.mark.parametrize(("known", "kept"), [(17, 17), (18, 1)])
def test_burst_correlations_of_removed_slos_are_dropped_at_the_size_limit_of_status(
    known: int, kept: int
):
    terms = terms_of(product([ACCURACY | {"name": NAMES[0]}]))
    status = DataProductStatus().with_engine(correlation=dict.fromkeys(NAMES[:known], 0.1))
    assert len(bounded(terms, status).engine.correlation) == kept


def test_the_recorded_shares_of_a_candidate_include_its_first_and_newest_share():
    candidate = Candidate(
        version="v2", image=image("b"), runtime_image=RUNTIME, revision="0123456789",
        source=VersionSource.SPEC, phase=CandidatePhase.STEPPING, start_time=0,
    )  # fmt: skip
    for number in range(1, 41):
        candidate = with_share(candidate, number, number * 60)
    document = json.dumps(candidate.to_dict())
    assert Candidate.model_validate_json(document, by_name=False) == candidate
    assert [candidate.shares[0].weight, candidate.shares[-1].weight] == [1, 40]


@pytest.mark.parametrize("margin", ["0.999999", "0.9999999"])
def test_every_valid_margin_gives_finite_evidence(margin: str):
    """The evidence of each block was a math domain error, and the canary stayed indefinitely."""
    slo = ACCURACY | {"maxDrop": margin, "maxRegression": margin}
    (terms,) = terms_of(product([slo])).slos
    blocks = [(Count(bad, 100), Count(5, 100)) for bad in (0, 50, 100)]
    for past in (Count(0, 1000), Count(1000, 1000)):
        assert sequential_evidence(blocks, past, margin=terms.margin).candidate.total == 300
    assert expected_seconds(
        (5, 50), events_per_second=1, ratio=1.0, margin=terms.margin, block_seconds=60
    )

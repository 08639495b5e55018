"""What is found, proposed and decided in situations drawn by a seed: a diff here changes decisions."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from sluicegate.policy import manual_requests, new_versions, training_results
from sluicegate.policy.canary.setbacks import setback
from sluicegate.policy.derived_defaults import derived
from sluicegate.policy.diagnosis.remedy import remedies_for
from sluicegate.policy.evaluate import Evaluation, evaluate
from sluicegate.policy.retraining import challenger
from sluicegate.policy.slo_health.messages import describe, numbers_of
from sluicegate.policy.transitions import apply_decision
from tests.support.decisions.changes import changes, plain
from tests.support.decisions.combinations import by_line
from tests.support.decisions.situations import Situation, situation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sluicegate.api.status import DataProductStatus
    from sluicegate.policy.canary.assessment import SloEvidence
    from sluicegate.policy.canary.gauge_evidence import GaugeEvidence
    from sluicegate.policy.model.decision import Decision

pytestmark = pytest.mark.slow

MANY = 30


@pytest.mark.parametrize("part", range(5))
def test_a_situation_is_decided_as_its_golden_says(part, golden):
    seeds = range(part * MANY, (part + 1) * MANY)
    given = {str(seed): situation(seed) for seed in seeds}
    lines = [line for seed, one in given.items() for line in told(seed, one)]
    left_out = by_line({(seed,): left_out_of(one) for seed, one in given.items()})
    golden(
        f"drawn_situations/{seeds.start}-{seeds.stop - 1}.txt",
        [*lines, "left out by the spec", *left_out],
    )


def told(seed: str, given: Situation) -> Iterator[str]:
    """What is decided, and all that was proposed; then what each SLO and the candidate show."""
    found = evaluate(given.terms, given.status, given.observed, given.now)
    yield f"{seed} {found.state}"
    yield from (f"  {line}" for line in changes(given.status, found.status))
    yield from _decided(given, found.decision, found.status)
    for decision, status in _proposed(given, found):
        if decision != found.decision:
            yield from _decided(given, decision, status)
    yield from _shown(given, found)


def left_out_of(given: Situation) -> Iterable[str]:
    """What is judged by where the spec says nothing."""
    assert given.status.stable is not None
    accepted = {name: one.count for name, one in given.status.stable.baseline.items()}
    return derived(given.terms, accepted, given.observed)


def _proposed(given: Situation, found: Evaluation) -> Iterator[tuple[Decision, DataProductStatus]]:
    """What would be decided, did nothing precede it."""
    terms, status, observed, now = given.terms, found.status, given.observed, given.now
    remedies = [one for one, _ in remedies_for(terms, status, observed, found.slos, now=now)]
    others = (
        setback(status, observed),
        new_versions.model_changed(terms, status, observed),
        new_versions.retry_due(terms, status, observed, now),
        new_versions.overtakes(terms, status, observed, now),
        challenger.due(terms, status, observed, suspected=now % 2 == 1, now=now),
    )
    yield from ((one, status) for one in (*remedies, *others) if one is not None)
    arrival = training_results.training_ended(terms, status, observed, now)
    arrived = [] if arrival is None else [arrival]
    for one in (*manual_requests.answers(terms, status, observed, now), *arrived):
        yield one.decision, one.status


def _decided(given: Situation, decision: Decision, status: DataProductStatus) -> Iterator[str]:
    """A decision with its fields, and what differs in status once it was carried out."""
    yield f"  {decision.type} {decision.reason}: {decision.message}"
    told = {one.name: getattr(decision, one.name) for one in fields(decision)}
    shown = {name: one for name, one in told.items() if one and name not in {"reason", "message"}}
    if shown:
        yield f"    {plain(shown)}"
    after = apply_decision(given.terms, status, decision, given.now)
    yield from (f"    {line}" for line in changes(status, after))


def _shown(given: Situation, found: Evaluation) -> Iterator[str]:
    """Numbers behind the decision: of SLOs, of the diagnosis, of the candidate."""
    for slo in found.slos:
        yield f"  {slo.state} {slo.reason}: {describe(slo, given.terms.block_seconds)}"
        known = (slo.fresh, slo.calm, slo.probation, slo.as_before, slo.shown, *slo.budget)
        yield f"    {plain([numbers_of(slo), *known])}"
    for check in found.diagnosis.findings if found.diagnosis else ():
        yield f"  {check.verdict} {check.check}: {check.message}"
    seen = found.assessment
    if seen is not None:
        lists = {"slos", "gauges"}
        yield f"  {plain([getattr(seen, f.name) for f in fields(seen) if f.name not in lists])}"
        evidence: list[SloEvidence | GaugeEvidence] = [*seen.slos, *seen.gauges]
        for one in evidence:
            values = [getattr(one, f.name) for f in fields(one) if f.name != "terms"]
            yield f"    {one.terms.name} {plain(values)}"

"""What a promotion starts probation with."""

from sluicegate.api.baseline import Baseline, Baselines, BaselineSource
from sluicegate.policy.canary.assessment import SloEvidence
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.slo.client_errors import CLIENT_ERRORS


def begin(
    accepted: Baselines, evidence: tuple[SloEvidence, ...], terms: Terms, now: int
) -> dict[str, Baseline]:
    """What the new version is held against: the baseline of the version before.

    Where that one did worse beside the candidate than when it was accepted, what it did then
    counts: going back to it would be no cure. Its blocks then tell how it scatters as well;
    taken for independent, bursts of ρ = .01 fail the probation of every eighth equal version.
    """
    held = dict(accepted)
    for slo in evidence:
        count = slo.evidence.stable
        baseline = accepted.get(slo.terms.name)
        if count.total < slo.terms.least_events(ratio_of(count)):
            continue
        if baseline is None or ratio_of(count) > ratio_of(baseline.count):
            held[slo.terms.name] = Baseline.of(
                count,
                now,
                now,
                BaselineSource.PRODUCTION,
                phi=max(slo.dispersion, 1.0 if baseline is None else baseline.phi),
                indicator_hash=slo.terms.indicator_hash,
            )
    names = (*(slo.name for slo in terms.slos), CLIENT_ERRORS)
    return {name: held[name] for name in names if name in held}

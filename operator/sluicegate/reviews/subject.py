"""Inputs of the ledger from a product's spec and status. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sluicegate.api.baseline import Baseline
from sluicegate.api.outcome import Outcome
from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import TeamMember
from sluicegate.api.retraining_status import EndedTraining
from sluicegate.api.review import (
    MissedMarket,
    ReviewCandidate,
    ReviewCheck,
    ReviewCycle,
    ReviewDecision,
    ReviewSlo,
    ReviewVersion,
)
from sluicegate.api.status import DataProductStatus
from sluicegate.api.verdict import ArmCounts, CanaryVerdict
from sluicegate.api.versions import VersionBase, VersionSource
from sluicegate.kube.resources import Key
from sluicegate.measurement.store import target_of
from sluicegate.prometheus.targets import Target
from sluicegate.prometheus.timing import Timing
from sluicegate.reviews.journal import Note
from sluicegate.reviews.production_readiness import (
    ReadinessResult,
    Renewal,
    age_checks,
    checks_judged_on,
    readiness_checks,
    renewal_of,
)
from sluicegate.views.needs import missed_markets_by_slo


@dataclass(frozen=True, slots=True)
class ReviewSubject:
    """A product with the parts of its spec and status that its reviews record.

    Attributes
    ----------
    target : measurements to read; None before a version serves.
    checks : checks of readiness for production, each with the way out if it isn't met.
    candidates : versions whose canary has ended, with what they showed.
    decision : its newest decision. training : the newest that has ended.
    missed_markets : those that miss an SLO now. renewal : age of its model; None before a version serves.
    requests : resource requests of one pod.
    """

    key: Key
    uid: str
    cycle: ReviewCycle
    team: tuple[TeamMember, ...]
    slos: tuple[ReviewSlo, ...]
    versions: tuple[ReviewVersion, ...]
    decision: ReviewDecision | None
    target: Target | None
    checks: tuple[ReadinessResult, ...] = ()
    requests: Mapping[str, str] = field(default_factory=dict)
    training: EndedTraining | None = None
    candidates: tuple[ReviewCandidate, ...] = ()
    missed_markets: tuple[MissedMarket, ...] = ()
    renewal: Renewal | None = None

    @property
    def newest(self) -> tuple[Note, ...]:
        """Return the newest decision and training in the product's status."""
        return tuple(note for note in (self.decision, self.training) if note is not None)

    def readiness(self, today_date: str, now: float) -> tuple[ReviewCheck, ...]:
        """Return the results of all checks for the ledger, those of the model's age at `now` included."""
        ages = age_checks(self.renewal, self.cycle, now)
        return checks_judged_on((*self.checks, *ages), self.cycle.exemptions, today_date)


def subject_of(product: DataProduct, timing: Timing) -> ReviewSubject | None:
    """Return the product as a subject of reviews; None if it has no reviews."""
    review_cycle = product.spec.review
    if review_cycle is None:
        return None
    meta, status = product.metadata, product.status
    return ReviewSubject(
        key=Key(meta.namespace, meta.name),
        uid=meta.uid,
        cycle=review_cycle,
        team=product.spec.team.members if product.spec.team else (),
        slos=tuple(_review_slos(product)),
        versions=tuple(_review_versions(status)),
        decision=_decision(status),
        target=target_of(product, timing),
        checks=readiness_checks(product.spec, status.stable.runtime_image if status.stable else ""),
        requests=product.spec.serving.resources.reserved(),
        training=status.retraining.last_job if status.retraining else None,
        candidates=(*_review_candidates(status), *_rejected_trainings(product)),
        missed_markets=tuple(_missed_markets(status)),
        renewal=renewal_of(status),
    )


def _missed_markets(status: DataProductStatus) -> Iterator[MissedMarket]:
    for slo, markets in missed_markets_by_slo(status).items():
        recorded_markets = status.engine.slo(slo).missed_markets
        for market in markets:
            if market in recorded_markets:
                yield MissedMarket(slo=slo, market=market, start_time=recorded_markets[market])


def _review_slos(product: DataProduct) -> list[ReviewSlo]:
    stable, first_baseline = product.status.stable, product.status.engine.original_baseline
    accepted_counts = stable.baseline if stable else {}
    original_counts = first_baseline.slos if first_baseline else {}
    return [
        ReviewSlo(
            name=slo.name,
            indicator=slo.indicator.kind.value,
            objective=slo.objective,
            max_drop=slo.max_drop,
            threshold_milliseconds=(
                slo.indicator.latency.threshold_milliseconds if slo.indicator.latency else None
            ),
            accepted=_counts(accepted_counts.get(slo.name)),
            original=_counts(original_counts.get(slo.name)),
        )
        for slo in product.spec.slos
    ]


def _counts(baseline: Baseline | None) -> tuple[int, ...]:
    return (baseline.bad, baseline.total) if baseline is not None and baseline.total else ()


def _review_versions(status: DataProductStatus) -> list[ReviewVersion]:
    versions = [
        _version(past_version, past_version.promotion_time).replace(
            end_time=past_version.end_time,
            outcome=str(past_version.outcome),
            reason=past_version.reason,
        )
        for past_version in status.history
        if past_version.promotion_time is not None
    ]
    stable = status.stable
    return [*versions, _version(stable, stable.promotion_time)] if stable else versions


def _version(version: VersionBase, promotion_time: int) -> ReviewVersion:
    return ReviewVersion(
        version=version.version,
        digest=version.digest,
        source=str(version.source),
        cause=version.cause,
        iteration=version.iteration,
        api_changes=version.api_changes,
        promotion_time=promotion_time,
    )


def _review_candidates(status: DataProductStatus) -> Iterator[ReviewCandidate]:
    """Yield the versions of status whose canary has ended; the promotion of a restored one is older."""
    stable = status.stable
    if stable is not None and not stable.restored:
        yield from _review_candidate(
            stable, stable.verdict, Outcome.PROMOTED, stable.promotion_time
        )
    for past_version in status.history:
        if past_version.promotion_time is None:
            yield from _review_candidate(
                past_version, past_version.verdict, past_version.outcome, past_version.end_time
            )
        elif not past_version.restored:
            yield from _review_candidate(
                past_version, past_version.verdict, Outcome.PROMOTED, past_version.promotion_time
            )


def _review_candidate(
    version: VersionBase, verdict: CanaryVerdict | None, outcome: Outcome, end_time: int
) -> Iterator[ReviewCandidate]:
    if verdict is not None:
        yield ReviewCandidate(
            version=version.version,
            digest=version.digest,
            source=str(version.source),
            cause=version.cause,
            cause_slo=version.cause_slo,
            iteration=version.iteration,
            api_changes=version.api_changes,
            outcome=str(outcome),
            reason=verdict.reason,
            end_time=end_time,
            slos=verdict.slos,
        )


def _rejected_trainings(product: DataProduct) -> Iterator[ReviewCandidate]:
    """Yield the version of the newest training if its hold-out refused it, with the rows of the hold-out."""
    retraining = product.status.retraining
    result = retraining.last_result if retraining is not None else None
    if result is None or not result.is_refused:
        return
    yield ReviewCandidate(
        version=result.version,
        digest=result.digest,
        source=str(VersionSource.RETRAINING),
        outcome=str(Outcome.REJECTED),
        reason=result.reason,
        end_time=result.completion_time,
        slos=tuple(
            ArmCounts(
                name=slo.name,
                indicator=slo.indicator.kind.value,
                candidate=result.evaluation[slo.name],
                stable=result.stable_evaluation[slo.name],
                hold_out=True,
            )
            for slo in product.spec.slos
            if slo.name in result.evaluation and slo.name in result.stable_evaluation
        ),
    )


def _decision(status: DataProductStatus) -> ReviewDecision | None:
    decision = status.decision
    if decision is None:
        return None
    return ReviewDecision(
        decision_time=decision.decision_time,
        type=decision.type,
        reason=decision.reason,
        message=decision.message[:1024],
        version=status.stable.version if status.stable else "",
    )

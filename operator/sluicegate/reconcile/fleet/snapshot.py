"""The state of a product that dependents, and products that wait for a slot, may read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sluicegate.api.base import rfc3339
from sluicegate.api.engine import ProductState
from sluicegate.api.names import ConditionType
from sluicegate.api.product_info import Priority
from sluicegate.api.retraining_status import RetrainingStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import FULL_WEIGHT, CandidatePhase, VersionBase, VersionSource
from sluicegate.conditions import find_condition
from sluicegate.kube.resources import Key
from sluicegate.policy.model.api_changes import sentence
from sluicegate.policy.model.inputs import EARLIER_SECONDS
from sluicegate.policy.model.observed import DegradedConsumer, UpstreamRelease
from sluicegate.reconcile.fleet.slot_reservation import GRACE_SECONDS, Reserved, takes_slot
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.reconcile.live.product import ProductRecord

COMMON_BLOCKS = 3
"""Products that turned bad within this many blocks turned bad together."""


@dataclass(frozen=True, slots=True)
class ProductSnapshot:
    """The state of a product for the passes of other products.

    Attributes
    ----------
    state : as it was evaluated last.
    block_seconds : length of its blocks.
    bad_since : end of the block by which it was first found bad; None while it isn't.
    fine_at : end of the newest block by which it wasn't bad; None when that isn't known.
    degraded_at : when it was last found degraded; None when that isn't known.
    silent : for each kind of indicator with data before, whether an SLO of that kind has no data now.
    depends_on : products that it calls.
    priority : who trains first.
    training : it has a slot: a Job of it runs, or is created in this step.
    reserved : the slot is for a Job that isn't there yet.
    trained_at : when it had a slot last; None when that isn't known.
    waiting_since : when it applied for a slot; None without an application.
    challenger : the application is for a challenger.
    is_aside : its reconcile failed, so no slot is reserved for it until one succeeds.
    judged_until : end of the newest block that it was judged by, in seconds.
    has_queue : a queue of the cluster admits its Jobs, so it takes no slot.
    renews : the stable bento is tried in another runtime image.
    releases : its versions that have replaced another one, or are in their canary.
    suspect : `namespace/name` of the product whose release its degraded SLO follows; empty for none,
        None when this pass didn't judge it. degraded_by : the same with the version, None for none.
    answers : its answers to candidates of products that it calls, as written.
    """

    state: ProductState = ProductState.UNKNOWN
    block_seconds: int = 300
    bad_since: int | None = None
    fine_at: int | None = None
    degraded_at: int | None = None
    silent: Mapping[str, bool] = field(default_factory=dict)
    depends_on: tuple[Key, ...] = ()
    priority: Priority = Priority.MEDIUM
    training: bool = False
    reserved: Reserved | None = None
    trained_at: int | None = None
    waiting_since: int | None = None
    challenger: bool = False
    is_aside: bool = False
    judged_until: int = 0
    has_queue: bool = False
    renews: bool = False
    releases: tuple[UpstreamRelease, ...] = ()
    suspect: str | None = None
    degraded_by: DegradedConsumer | None = None
    answers: tuple[tuple[Key, str], ...] = ()

    @property
    def turns_bad(self) -> bool:
        """Return whether the product is bad without confirmation yet."""
        bad = self.state is ProductState.DEGRADING and self.bad_since is not None
        return bad and not self.is_aside and not self.has_queue

    @property
    def may_be_degrading(self) -> bool:
        """Return whether a product has an unconfirmed SLO that is missed or at risk."""
        is_unjudged = self.state is ProductState.UNKNOWN and self.bad_since is not None
        return self.state is ProductState.DEGRADING or is_unjudged

    def is_due(self, block_end: int) -> bool:
        """Return whether a block that ended by then is still to be evaluated."""
        return self.judged_until + self.block_seconds <= block_end

    def turning_span(self, now: int) -> tuple[int, int]:
        """Return the ends of the first and the last block in which the product may have become bad.

        They are the same block as long as each is judged in time. Where judging is late, some
        blocks are never judged by, and it turned bad in any of them.

        Parameters
        ----------
        now : the moment to take for one that isn't found bad, should it be so now.
        """
        last = now if self.bad_since is None else self.bad_since
        first = last if self.fine_at is None else self.fine_at + self.block_seconds
        return min(first, last), last

    def near_span(self, turning_span: tuple[int, int]) -> tuple[int, int] | None:
        """Return the part of a span within three blocks of this product's own span; None without overlap.

        None when there is none, or when it isn't bad.
        """
        if self.bad_since is None:
            return None
        first, last = self.turning_span(self.bad_since)
        span_seconds = COMMON_BLOCKS * self.block_seconds
        begin, end = (
            max(first - span_seconds, turning_span[0]),
            min(last + span_seconds, turning_span[1]),
        )
        return (begin, end) if begin <= end else None

    def following(self, previous: "ProductSnapshot") -> "ProductSnapshot":
        """Return the snapshot, completed by fields of the previous one."""
        due_times = [
            since for since in (self.waiting_since, previous.waiting_since) if since is not None
        ]
        same_reservation = (
            previous.reserved and self.reserved and previous.reserved.job == self.reserved.job
        )
        return replace(
            self,
            degraded_at=previous.degraded_at if self.degraded_at is None else self.degraded_at,
            fine_at=previous.fine_at if self.fine_at is None else self.fine_at,
            trained_at=previous.trained_at if self.trained_at is None else self.trained_at,
            suspect=previous.suspect if self.suspect is None else self.suspect,
            degraded_by=previous.degraded_by if self.suspect is None else self.degraded_by,
            reserved=previous.reserved if same_reservation else self.reserved,
            waiting_since=None if self.waiting_since is None else min(due_times),
        )

    def stepped_aside(self, *, job_runs: bool, keeps_slot: bool, failed: bool) -> "ProductSnapshot":
        """Return the snapshot after a failed reconcile, or a Job that wasn't created.

        It doesn't stand in line for a slot before it is reconciled again.

        Parameters
        ----------
        job_runs : a Job of it runs. keeps_slot : a slot for a Job that isn't there yet.
        """
        return replace(
            self,
            training=job_runs or keeps_slot,
            reserved=self.reserved if keeps_slot and not job_runs else None,
            waiting_since=None,
            is_aside=failed,
        )


def renews_runtime(status: DataProductStatus) -> bool:
    """Return whether the candidate is stable's own bento in another runtime."""
    stable, candidate = status.stable, status.candidate
    if stable is None or candidate is None or candidate.phase is CandidatePhase.PARKED:
        return False
    return candidate.digest == stable.digest


def releases_of(key: Key, status: DataProductStatus, now: int) -> tuple[UpstreamRelease, ...]:
    """Return the versions of a product that another product may have become worse by.

    A first version replaced none, and a candidate without traffic degrades none. Of one that has ended,
    labels still come.

    Parameters
    ----------
    now : in seconds.
    """
    name = f"{key.namespace}/{key.name}"
    releases = []
    stable, candidate = status.stable, status.candidate
    if stable is not None and (stable.verdict is not None or stable.restored):
        shares = tuple((share.start_time, share.weight) for share in stable.shares)
        full_traffic = (
            ()
            if shares and shares[-1][1] == FULL_WEIGHT
            else ((stable.promotion_time, FULL_WEIGHT),)
        )
        releases.append(
            UpstreamRelease(name, stable.version, (*shares, *full_traffic), _origin_of(stable))
        )
    is_returning = candidate is not None and candidate.phase is CandidatePhase.ROLLING_BACK
    if stable is not None and candidate is not None and (candidate.weight or is_returning):
        shares = tuple((share.start_time, share.weight) for share in candidate.shares)
        if shares:
            origin = _origin_of(candidate, data_end=candidate.data_end_time)
            releases.append(UpstreamRelease(name, candidate.version, shares, origin))
    for past in status.history:
        if past.shares and now - past.end_time < EARLIER_SECONDS:
            shares = tuple((share.start_time, share.weight) for share in past.shares)
            releases.append(UpstreamRelease(name, past.version, shares, _origin_of(past)))
    return tuple(releases)


def _origin_of(version: VersionBase, data_end: int | None = None) -> str:
    """Return clauses about a version's training and its API changes; empty without both.

    Parameters
    ----------
    data_end : end of the data that it was trained on, in seconds; None when that isn't known.
    """
    clauses = []
    if version.source is VersionSource.RETRAINING:
        cause = " of ".join(filter(None, (version.cause, version.cause_slo)))
        market = f" in {version.cause_market}" if version.cause_market else ""
        data = f" on data up to {rfc3339(data_end)}" if data_end is not None else ""
        clauses.append(f"{version.version} was trained{data} for {cause}{market}")
    if (changes := version.api_changes) is not None:
        added = tuple(f"adds {operation}" for operation in changes.added)
        deprecated = tuple(f"deprecates {operation}" for operation in changes.deprecated)
        differences = sentence((*changes.broken, *deprecated, *added))
        clauses.append(f"its API differs from that of the version before it: {differences}")
    return "; ".join(clauses)


def snapshot_before(
    record: ProductRecord,
    jobs: Iterable[JobRecord] = (),
    *,
    now: int = 0,
    max_training_seconds: int = 604_800,
) -> ProductSnapshot:
    """Return the snapshot from a product's status before its first pass of this term.

    A status that can't be read says nothing. A spec is read only of products that are bad.

    Parameters
    ----------
    jobs : its training Jobs. now : in seconds. max_training_seconds : that one may take.
    """
    status, job_records = record.status, tuple(jobs)
    retraining = status.retraining
    job_runs = any(takes_slot(job, now, max_training_seconds) for job in job_records)
    reserved = None if job_records else _reserved(retraining, now)
    if reserved is not None and record.has_queue:
        reserved = None
    last = retraining.last_result if retraining else None
    recovered = find_condition(status.conditions, ConditionType.DEGRADED)
    if recovered is not None and recovered.status != "False":
        recovered = None
    snapshot = ProductSnapshot(
        # Nothing else outlives a restart. One whose first version was just found fine counts as
        # recovered, too: who depends on it waits for an hour of blocks at most.
        degraded_at=recovered.last_transition_time if recovered else None,
        training=job_runs or reserved is not None,
        reserved=reserved,
        trained_at=last.completion_time if last else None,
        depends_on=record.depends_on,
        renews=renews_runtime(status),
        releases=releases_of(record.key, status, now),
    )
    first_bad_times = [
        slo.streak.first for slo in status.engine.slos.values() if slo.streak is not None
    ]
    if not first_bad_times:
        return snapshot
    seconds = record.block_seconds
    degraded = status.state is ProductState.DEGRADED
    return replace(
        snapshot,
        state=ProductState.DEGRADED if degraded else ProductState.UNKNOWN,
        block_seconds=seconds,
        bad_since=min(first_bad_times) * seconds,
    )


def _reserved(retraining: RetrainingStatus | None, now: int) -> Reserved | None:
    """Return the slot of a Job that another replica was about to create."""
    if retraining is None or retraining.trigger is None or retraining.start_time is None:
        return None
    attempt_start = retraining.start_time
    return Reserved(retraining.job, attempt_start) if now < attempt_start + GRACE_SECONDS else None

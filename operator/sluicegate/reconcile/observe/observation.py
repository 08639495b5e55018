"""The input of one step, read once into one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.names import ConditionReason, DecisionReason
from sluicegate.api.product import DataProduct, DataProductSpec
from sluicegate.api.status import DataProductStatus, DependencyStatus
from sluicegate.api.versions import FULL_WEIGHT, VersionBase
from sluicegate.conditions import Finding
from sluicegate.kube.resources import Key
from sluicegate.measurement.canary_blocks import Requests
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.rollout.candidates import is_frozen
from sluicegate.policy.rollout.shadow_phase import is_tried
from sluicegate.reconcile.live.children import DeploymentRecord, JobRecord, RouteRecord
from sluicegate.reconcile.live.pods import PodState
from sluicegate.reconcile.observe.job_wait import JobWait, wait_of
from sluicegate.reconcile.routes.arbitration import RouteRefusal
from sluicegate.reconcile.routes.gateway_state import GatewayState
from sluicegate.reconcile.traffic.split_verification import Split, VerificationLevel
from sluicegate.slo.indicators import INDICATORS

_UNLABELLED: Final = frozenset(
    {
        DecisionReason.BACKFILLING,
        DecisionReason.NO_DATA,
        DecisionReason.NO_TRAFFIC,
        DecisionReason.NO_LABELS,
        DecisionReason.WARMING_UP,
    }
)
"""Text for a service level of labels before a label is counted or read."""


def lacks_labels(spec: DataProductSpec, status: DataProductStatus) -> bool:
    """Return whether feedback is configured and an SLO of labels has none."""
    names = {slo.name for slo in spec.slos if INDICATORS[slo.indicator.kind].from_truths}
    if spec.serving.feedback is None or not names:
        return False
    judged_slos = [slo for slo in status.slos if slo.name in names]
    return not judged_slos or any(slo.reason in _UNLABELLED for slo in judged_slos)


@dataclass(frozen=True, slots=True)
class Observation:
    """The input of one pass: a product, its children and its measurements at one time.

    Attributes
    ----------
    product : as it is in the API.
    terms : what it is judged by.
    desired : the version of spec.model.
    now : in seconds.
    live : Deployments by revision.
    route : its HTTPRoute.
    pods : its pods, where they had to be read; else empty.
    selected : revision that the product's own Service selects, empty for all; None while it isn't
        there.
    split : how far the split in force is verified; None without a route or before the first one.
    requests : of both versions since the last change of weight.
    observed : the input of the decision.
    dependencies : states of the products that it calls.
    dependents : whether another product calls it.
    degrades : owner by product whose degraded SLOs follow a release of this one; empty if its spec is unreadable.
    one_sided : sentences on SLOs that don't count in canaries, as only one of both products allows it.
    conflict : why another owner has its route or one of its names; empty without a conflict.
    shadowed : the conflict is about the route of the spec, which other products keep.
    refused : the API server's refusal of one of its children; empty while it accepts all.
    changing : a change of the spec is about to replace stable's pods or to change their number.
    overlap : which other operator writes its status too, and the way out; empty for none.
    route_refusal : the refusal of the route of the spec; None while the product can have it.
    route_kept : its live route is kept up to date instead of the refused one.
    stalled : another state that needs a person; None without one.
    invalid : the mistakes in the spec, each with its way out; empty in a valid one.
    gateways : states of its Gateways, as far as they had to be read.
    lost : it once had a stable version, whose status and Deployment are missing.
    first_start : since when this operator has reconciled it, in seconds; None for now.
    quiet_seconds : for how long the start of a first version needn't be reported.
    term : since when this replica leads, in seconds; time without a leader counts against no
        candidate.
    job : of the training under way; None while it isn't there.
    job_runs : a Job of the product runs, even if its training was cancelled.
    has_slot : a Job of the product takes a slot of the fleet.
    refusal : why the Job of the training under way isn't there; empty when nothing is known.
    shadow_job : of the shadow phase; None while it isn't there.
    shadow_refusal : why it isn't there; empty when nothing is known.
    max_training_seconds : limit of the duration of a training, whatever its spec has.
    previews : whether the operator's settings allow previews.
    reviews : conditions of its reviews: missing signatures, late actions; empty without either.
    """

    product: DataProduct
    terms: Terms
    desired: VersionBase
    now: int
    live: Mapping[str, DeploymentRecord]
    route: RouteRecord | None
    pods: tuple[PodState, ...]
    split: Split | None
    requests: Requests
    observed: Observed
    selected: str | None = None
    dependencies: tuple[DependencyStatus, ...] = ()
    dependents: bool = False
    degrades: Mapping[Key, str] = field(default_factory=dict)
    one_sided: tuple[str, ...] = ()
    conflict: str = ""
    shadowed: bool = False
    write_refusal: str = ""
    changing: bool = False
    overlap: str = ""
    route_refusal: RouteRefusal | None = None
    route_kept: bool = False
    stalled: Finding | None = None
    invalid: tuple[str, ...] = ()
    gateways: Mapping[Key, GatewayState] = field(default_factory=dict)
    lost: bool = False
    first_start: int | None = None
    quiet_seconds: float = 0.0
    term: int = 0
    job: JobRecord | None = None
    job_runs: bool = False
    has_slot: bool = False
    refusal: str = ""
    shadow_job: JobRecord | None = None
    shadow_refusal: str = ""
    max_training_seconds: int = 604_800
    previews: bool = False
    reviews: tuple[Finding, ...] = ()

    @property
    def followed(self) -> bool:
        """Return whether the Gateways have accepted a candidate's 100 %."""
        candidate = self.product.status.candidate
        is_taken = self.split is not None and self.split.level >= VerificationLevel.ACCEPTED
        return is_taken and candidate is not None and candidate.weight == FULL_WEIGHT

    @property
    def committed(self) -> bool:
        """Return whether a candidate's promotion can't be aborted any more.

        The product's own Service picks it by now, or is about to.
        """
        candidate = self.product.status.candidate
        if self.product.spec.route is not None:
            return self.followed
        return candidate is not None and candidate.weight == FULL_WEIGHT

    def is_frozen(self, status: DataProductStatus) -> bool:
        """Return whether spec.suspend blocks changes of versions and traffic.

        Requests of a person to promote, abort or roll back a candidate are carried out nevertheless.
        """
        return is_frozen(status, suspend=self.product.spec.suspend)

    @property
    def job_wait(self) -> JobWait | None:
        """Return the wait of the training Job; None while it runs or doesn't exist."""
        return wait_of(self.job, self.pods, self.now)

    def may_train(self, status: DataProductStatus) -> bool:
        """Return whether Jobs may be started and ended; while suspended only for a person's request."""
        training = status.retraining
        trigger = training.trigger if training else None
        is_requested = trigger is not None and trigger.cause == DecisionReason.REQUESTED
        return is_requested or not self.product.spec.suspend

    def is_new(self, status: DataProductStatus) -> bool:
        """Return whether this pass decided the training in this status."""
        retraining_before, retraining_after = self.product.status.retraining, status.retraining
        trigger_before = retraining_before.trigger if retraining_before else None
        trigger = retraining_after.trigger if retraining_after else None
        return trigger is not None and (trigger_before is None or trigger_before.id != trigger.id)

    def starts_training(self, status: DataProductStatus) -> bool:
        """Return whether this pass is to create the training Job of this status.

        A training that was just decided has its slot. One whose Job isn't there yet, as it was
        refused or another replica was to create it, asks again; a product has one Job at a time.
        """
        training = status.retraining
        if training is None or training.trigger is None or status.stable is None:
            return False
        if self.product.spec.retraining is None or self.job_runs or self.is_forbidden:
            return False
        if not self.may_train(status):
            return False
        return self.is_new(status) or (self.job is None and self.observed.portfolio.slot)

    def starts_shadow(self, status: DataProductStatus) -> bool:
        """Return whether this pass is to create the shadow phase's Job of this status.

        One that was just decided has its slot; one that isn't there yet asks again.
        """
        shadow_before, shadow_after = self.product.status.shadow, status.shadow
        if shadow_after is None or not shadow_after.job or self.product.spec.rollout.shadow is None:
            return False
        if self.job_runs or self.is_frozen(status) or not is_tried(status):
            return False
        is_new = shadow_before is None or shadow_before.job != shadow_after.job
        return is_new or (self.shadow_job is None and self.observed.portfolio.slot)

    @property
    def is_forbidden(self) -> bool:
        """Return whether a training's service account is forbidden."""
        reason = ConditionReason.FORBIDDEN_SERVICE_ACCOUNT
        return self.stalled is not None and self.stalled.reason == reason

    @property
    def training_seconds(self) -> int:
        """Return the most seconds that a training may take."""
        retraining = self.product.spec.retraining
        max_seconds = self.max_training_seconds
        return max_seconds if retraining is None else min(retraining.timeout_seconds, max_seconds)

    @property
    def scales(self) -> bool:
        """Return whether an autoscaler sets the number of stable's pods."""
        return self.product.spec.serving.autoscaling is not None

    @property
    def stable_pods(self) -> int:
        """Return the desired number of stable's pods: the spec's, or the autoscaler's.

        An autoscaler that finds the number right writes nothing, so it is never below what there is.
        """
        base_replicas = self.product.spec.serving.base_replicas
        stable = self.product.status.stable
        if stable is None or self.product.spec.serving.autoscaling is None:
            return base_replicas
        live = self.live.get(stable.revision)
        return base_replicas if live is None else max(base_replicas, live.replicas)

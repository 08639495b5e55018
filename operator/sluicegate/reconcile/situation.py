"""Everything that one step looks at, read once into one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.canary import VersionBase
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus, DependencyStatus
from sluicegate.kube.resources import Key
from sluicegate.policy.observed import Observed
from sluicegate.policy.terms import Terms
from sluicegate.reconcile.gateways import GatewayState
from sluicegate.reconcile.layout import FULL
from sluicegate.reconcile.pods import PodState
from sluicegate.reconcile.records import DeploymentRecord, RouteRecord
from sluicegate.reconcile.verification import Level, Requests, Split
from sluicegate.status import Finding

_ASKED: Final = frozenset({DecisionReason.ROLLBACK_REQUESTED, DecisionReason.ABORT_REQUESTED})


@dataclass(frozen=True, slots=True)
class Situation:
    """One product at one moment.

    Attributes
    ----------
    product : as it is in the API.
    terms : what it is judged by.
    wanted : the version that spec.model stands for.
    now : in seconds.
    live : Deployments by revision.
    route : its HTTPRoute.
    pods : its pods, where they had to be read; else empty.
    split : how far the split in force is verified; None without a route or before the first one.
    requests : of both versions since the last change of weight.
    observed : what the decision is made from.
    dependencies : how the products that it calls do.
    conflict : why its route or one of its names can't be had; empty when they can.
    route_conflict : the conflict is about the route.
    stalled : what else needs a person; None when nothing does.
    gateways : what its Gateways say of themselves, as far as that had to be asked.
    lost : it once had a stable version, of which nothing is left.
    begun : since when this operator has looked at it, in seconds; None for now.
    """

    product: DataProduct
    terms: Terms
    wanted: VersionBase
    now: int
    live: Mapping[str, DeploymentRecord]
    route: RouteRecord | None
    pods: tuple[PodState, ...]
    split: Split | None
    requests: Requests
    observed: Observed
    dependencies: tuple[DependencyStatus, ...] = ()
    conflict: str = ""
    route_conflict: bool = False
    stalled: Finding | None = None
    gateways: Mapping[Key, GatewayState] = field(default_factory=dict)
    lost: bool = False
    begun: int | None = None

    @property
    def followed(self) -> bool:
        """Whether the Gateways have taken a candidate's 100 %."""
        candidate = self.product.status.candidate
        taken = self.split is not None and self.split.level >= Level.ACCEPTED
        return taken and candidate is not None and candidate.weight == FULL

    @property
    def committed(self) -> bool:
        """Whether a candidate is past the point from which it could still be aborted.

        The product's own Service picks it by now, or is about to.
        """
        candidate = self.product.status.candidate
        if self.product.spec.route is not None:
            return self.followed
        return candidate is not None and candidate.weight == FULL

    def is_frozen(self, status: DataProductStatus) -> bool:
        """Whether suspend forbids to touch versions and traffic; what a person asks for goes on."""
        candidate = status.candidate
        asked = candidate is not None and (
            candidate.requested or candidate.rollback_reason in _ASKED
        )
        return self.product.spec.suspend and not asked

    def may_train(self, status: DataProductStatus) -> bool:
        """Whether Jobs may be started and ended; while suspended only what a person asked for."""
        training = status.retraining
        trigger = training.trigger if training else None
        asked = trigger is not None and trigger.cause == DecisionReason.REQUESTED
        return asked or not self.product.spec.suspend

    @property
    def stable_pods(self) -> int:
        """Pods that stable has to have: those of the spec, or what an autoscaler made of them."""
        base = self.product.spec.serving.base_replicas
        stable = self.product.status.stable
        if stable is None or self.product.spec.serving.autoscaling is None:
            return base
        live = self.live.get(stable.revision)
        return max(base, live.replicas if live is not None and live.scaled else base)

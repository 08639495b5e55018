"""How requests are split, as status shows it."""

from dataclasses import replace

from sluicegate.api.base import number
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import SplitLevel, SplitMode, Traffic
from sluicegate.manifests.names import version_name
from sluicegate.reconcile.decide.layout import route_removal_time
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.traffic.allocation import share_in_force
from sluicegate.reconcile.traffic.split_verification import (
    Split,
    VerificationLevel,
    verify_acceptance,
)

_LEVEL_BY_VERIFICATION = {
    VerificationLevel.NONE: SplitLevel.WRITTEN,
    VerificationLevel.WRITTEN: SplitLevel.WRITTEN,
    VerificationLevel.ACCEPTED: SplitLevel.ACCEPTED,
    VerificationLevel.OBSERVED: SplitLevel.OBSERVED,
}


def traffic_of(observation: Observation, status: DataProductStatus) -> Traffic | None:
    """Return the present split; None before the first version serves."""
    if status.stable is None:
        return None
    previous_traffic = observation.product.status.traffic
    candidate = status.candidate
    weight = share_in_force(candidate) if candidate else 0
    stable = observation.product.status.stable
    stable_changed = stable is not None and stable.revision != status.stable.revision
    same_split = (
        previous_traffic.weight == weight if previous_traffic is not None else candidate is None
    )
    since = (
        previous_traffic.write_time
        if same_split and previous_traffic is not None
        else observation.now
    )
    if observation.product.spec.route is None:
        return Traffic(
            mode=SplitMode.REPLICAS,
            weight=weight,
            verification=SplitLevel.WRITTEN,
            write_time=since,
            route_removal_time=route_removal_time(observation) if candidate is not None else None,
        )
    split = observation.split
    level = SplitLevel.WRITTEN
    if split is not None and (same_split or stable_changed):
        level = _LEVEL_BY_VERIFICATION[split.level]
    acceptance_time = (
        previous_traffic.acceptance_time if same_split and previous_traffic is not None else None
    )
    if level is not SplitLevel.WRITTEN and acceptance_time is None:
        acceptance_time = observation.now
    return Traffic(
        mode=SplitMode.GATEWAY,
        weight=weight,
        verification=level,
        write_time=since,
        acceptance_time=acceptance_time,
        observed_share=number(split.share)
        if split is not None and split.share is not None
        else None,
        requests=split.requests if split is not None else None,
    )


def with_first_split(observation: Observation, plan: Plan) -> Observation:
    """Return the observation with the route's verification, for a version that has just become stable.

    What was known is about the split before, or nothing.
    """
    route, stable = observation.product.spec.route, observation.product.status.stable
    after = plan.status.stable
    is_new = after is not None and (stable is None or stable.revision != after.revision)
    if route is None or not is_new:
        return observation
    name = observation.product.metadata.name
    weights = {version_name(name, revision): weight for revision, weight in plan.allocation.weights}
    level, message = verify_acceptance(
        observation.route, weights, route.parent_refs, observation.gateways
    )
    return replace(observation, split=Split(level, message, enough=True))

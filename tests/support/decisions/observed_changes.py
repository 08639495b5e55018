"""What else may be observed of a product: changes of one observation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sluicegate.reconcile.observe.observation import Observation

Change = Callable[[Observation], Observation]


def without_gateway(observation: Observation) -> Observation:
    assert observation.route is not None
    route = replace(observation.route, parents=())
    split = replace(observation.split, level=1, message="Gateway gateway/web says nothing")
    return replace(observation, route=route, split=split)


def in_conflict(observation: Observation) -> Observation:
    return replace(observation, conflict="DataProduct catalog/other serves it", shadowed=True)


def with_foreign_object(observation: Observation) -> Observation:
    return replace(observation, conflict="Service catalog/search exists")


def pods_on_their_way(observation: Observation, **change: bool) -> Observation:
    """Return a change of spec.serving whose pods aren't up yet; those before them serve."""
    rolling = {
        key: replace(one, rolling=True, **change) if one.replicas else one
        for key, one in observation.live.items()
    }
    return replace(observation, live=rolling)


def pods_that_dont_come(observation: Observation) -> Observation:
    return pods_on_their_way(observation, deadline_exceeded=True)


def a_pod_is_evicted(observation: Observation) -> Observation:
    """Return an observation in which the Deployment lacks one pod, without a change."""
    records = {
        key: replace(one, replicas=one.ready + 1) if one.ready else one
        for key, one in observation.live.items()
    }
    return replace(observation, live=records)


def its_deployment_is_gone(observation: Observation) -> Observation:
    assert observation.product.status.stable is not None
    revision = observation.product.status.stable.revision
    return replace(
        observation, live={key: one for key, one in observation.live.items() if key != revision}
    )


def about_to_change(observation: Observation) -> Observation:
    return replace(observation, changing=True)


def refused(observation: Observation) -> Observation:
    return replace(observation, write_refusal="the API server refuses it")


def as_it_is(observation: Observation) -> Observation:
    return observation

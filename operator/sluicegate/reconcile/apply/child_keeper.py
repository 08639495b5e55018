"""Keeps a product's children as they should be, and what keeps one of them from being written."""

import logging
from dataclasses import dataclass, field, replace

from sluicegate.api import names
from sluicegate.api.names import ConditionReason
from sluicegate.kube.errors import (
    BadRequest,
    Forbidden,
    Invalid,
    KubeError,
    NamespaceTerminating,
    NotFound,
    WebhookFailed,
)
from sluicegate.kube.resources import DEPLOYMENTS, HTTP_ROUTES, Key
from sluicegate.reconcile.apply.applier import Applier, NameConflict
from sluicegate.reconcile.build import Child
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.observe.write_obstacle import WriteObstacle, with_obstacle
from sluicegate.reconcile.routes.arbitration import Claims

logger = logging.getLogger(__name__)


def with_failed_write(
    observation: Observation, error: KubeError | NameConflict
) -> Observation | None:
    """Return the observation with a failed write as its obstacle; None for errors that a retry solves.

    Status has one reason at a time, or the two would be written in turns: beside a refused route a
    name conflict isn't named.
    """
    obstacle = obstacle_of(error)
    if obstacle is None or (isinstance(error, NameConflict) and observation.shadowed):
        return None
    return with_obstacle(observation, obstacle)


def obstacle_of(error: KubeError | NameConflict) -> WriteObstacle | None:
    """Return the obstacle that a failed write is for a person; None for an error that retries solve."""
    match error:
        case NameConflict():
            return WriteObstacle(ConditionReason.NAME_CONFLICT, str(error))
        case NamespaceTerminating():
            return None
        case Invalid() | BadRequest():
            way_out = "correct what the message names in spec"
        case Forbidden():
            way_out = "correct spec, or what forbids it: a policy, a quota, the role of the account that writes it"
        case NotFound():
            way_out = "install its kind, or leave out the part of spec that needs it"
        case WebhookFailed():
            way_out = "fix the webhook, or exclude the operator's objects from it"
        case _:
            return None
    return WriteObstacle(
        ConditionReason.APPLY_REFUSED, f"the API server refuses {error}; {way_out}"
    )


@dataclass(frozen=True, slots=True)
class ChildKeeper:
    """Writes the children of products. Not thread-safe: for the event loop only."""

    applier: Applier
    claims: Claims
    obstacles: dict[Key, WriteObstacle] = field(default_factory=dict)
    """Products of which a child isn't as it should be. Lost with the process: it is tried again."""

    def forget(self, key: Key) -> None:
        """Drop the state of a deleted product."""
        self.obstacles.pop(key, None)

    async def with_foreseen_pods(
        self, record: ProductRecord, observation: Observation, children: tuple[Child, ...]
    ) -> Observation:
        """Return the observation with the pod rollout that this pass starts and its new generation.

        The API server is asked by dry runs, so that status never says of a refused spec that it is
        in force.
        """
        status = observation.product.status
        is_new_generation = record.generation != status.observed_generation
        observation = replace(
            observation,
            changing=_changes_stable(observation, children, is_new_generation=is_new_generation),
        )
        if status.stable is None or not is_new_generation:
            return observation
        obstacle = None
        try:
            await self.applier.dry_run(record, children)
        except (Invalid, Forbidden) as error:
            obstacle = obstacle_of(error)
        except KubeError as error:  # e.g. a webhook without dry runs: the write reports it
            logger.info("a dry run failed: %s", error)
        return with_obstacle(observation, obstacle)

    async def keep(
        self, record: ProductRecord, observation: Observation, children: tuple[Child, ...]
    ) -> None:
        """Apply the children and delete the others; raise the first refused write.

        A refused route isn't written. The live route is kept up to date where the spec can express it, else
        left unchanged; it is deleted if no Gateway accepts it.
        """
        route_refused = observation.shadowed and not observation.route_kept
        if route_refused:
            children = tuple(child for child in children if child.resource != HTTP_ROUTES)
        route_unchanged = route_refused and self.claims.serves(record.key, observation.now)
        obsolete_children = [
            (resource, obsolete_child)
            for resource, obsolete_child in self.applier.leftovers(record, children)
            if resource != HTTP_ROUTES or not route_unchanged
        ]
        try:
            await self.applier.apply(record, children, obsolete_children)
        except (KubeError, NameConflict) as error:
            if (obstacle := obstacle_of(error)) is not None:
                self.obstacles[record.key] = obstacle
            raise


def _changes_stable(
    observation: Observation, children: tuple[Child, ...], *, is_new_generation: bool
) -> bool:
    """Return whether this pass replaces stable's pods, or whether a new spec changes their number."""
    status = observation.product.status
    live = observation.live.get(status.stable.revision) if status.stable else None
    if live is None:
        return False
    for child in children:
        if child.resource == DEPLOYMENTS and child.key == live.key:
            annotations: dict[str, str] = child.manifest["metadata"]["annotations"]
            inputs = annotations.get(names.ANNOTATION_INPUTS_HASH)
            replicas = child.manifest["spec"].get("replicas", live.replicas)
            is_scaled = is_new_generation and status.candidate is None and replicas != live.replicas
            return is_scaled or inputs != live.annotation(names.ANNOTATION_INPUTS_HASH)
    return False

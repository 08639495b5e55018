"""Products whose number of pods a person changes, and who of two operators wrote their objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.failures.replicas import (
    apply,
    attempted_writes,
    orders,
    product,
    read,
    writers_by_object,
)
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

Object = dict[str, Any]

KINDS = ("dataproducts", "deployments", "services")


@dataclass(frozen=True, slots=True)
class ScaledProducts:
    """`count` products of one namespace; each change is a write for the leader."""

    plane: ControlPlane
    namespace: str
    count: int

    def scale(self, pods: int) -> None:
        """Request this many pods of each product, without waiting."""
        bodies = [product(self.namespace, f"p{number}") for number in range(self.count)]
        for body in bodies:
            body["spec"]["serving"] = {"replicas": pods}
        apply(self.plane, *bodies)

    def until_scaled(self, pods: int, *, seconds: float = 60) -> None:
        """Wait until each product has them, and reports Ready for its newest generation."""
        goal = f"{self.count} products with {pods} pods each"
        eventually(lambda: self._have(pods), seconds=seconds, what=goal)

    def rescale(self, pods: int) -> None:
        """Request this many pods of each product, and wait."""
        self.scale(pods)
        self.until_scaled(pods)

    def assert_written_in_turn(self, first: str, second: str) -> None:
        """Assert by the audit log that the first user wrote no object after the second.

        A write that the API server answered with a 504 proves no order, but its user had work.
        """
        attempts = attempted_writes(self.plane, (first, second))
        for kind in KINDS:
            own = [
                attempt
                for attempt in attempts
                if attempt.target.startswith(f"{kind}/{self.namespace}/")
            ]
            users: dict[str, set[str]] = {}
            for write in own:
                if write.may_be_stored:
                    users.setdefault(write.target, set()).add(write.user)
            assert len(users) >= self.count
            writers = writers_by_object((one for one in own if one.is_stored), kind)
            assert {*map(tuple, writers.values())} <= orders(first, second), writers
            if kind == "deployments":
                assert all(each == {first, second} for each in users.values()), "both had work"

    def _have(self, pods: int) -> bool:
        products = read(self.plane, "dataproducts", "-n", self.namespace)
        deployments = read(self.plane, "deployments", "-n", self.namespace)
        ready = [
            (deployment.get("status") or {}).get("readyReplicas") for deployment in deployments
        ]
        return len(products) == self.count == sum(map(is_ready, products)) and (
            ready == [pods] * self.count
        )


def is_ready(body: Object) -> bool:
    """Return whether a product reports Ready for its newest generation."""
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and condition["observedGeneration"] == body["metadata"]["generation"]
        for condition in (body.get("status") or {}).get("conditions", ())
    )

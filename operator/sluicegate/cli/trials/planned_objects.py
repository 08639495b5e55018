"""The objects of the stable version that an edit of a DataProduct changes. Pure.

The objects that the edited spec renders are compared with those that the live spec renders. Where
the live spec isn't carried out, because it is suspended or invalid, they are compared with those
that run: all that has waited since is a part of what the edit leads to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sluicegate.api import names
from sluicegate.api.operator_checks import runtime_image
from sluicegate.api.product import DataProduct
from sluicegate.kube.managed_fields import owned_part
from sluicegate.kube.resources import (
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    POD_DISRUPTION_BUDGETS,
    SERVICES,
    Resource,
)
from sluicegate.manifests.common import Manifest
from sluicegate.manifests.plan import initial_children, spec_version
from sluicegate.policy.model.desired_model import referred_to
from sluicegate.settings import Settings

COMPARED: Final = (
    DEPLOYMENTS, SERVICES, HTTP_ROUTES, HORIZONTAL_POD_AUTOSCALERS, POD_DISRUPTION_BUDGETS,
)  # fmt: skip
"""The kinds of objects that a version has."""
_OF_PRODUCT: Final = frozenset(
    resource.kind for resource in (HTTP_ROUTES, HORIZONTAL_POD_AUTOSCALERS, POD_DISRUPTION_BUDGETS)
)
"""Kinds of which a product has no object of an earlier version."""

Named = dict[tuple[str, str], Manifest]
"""Objects by kind and name."""


class PlannedOutcome(StrEnum):
    """The kind of an edit's effect, the strongest first."""

    REFUSED = "Refused"
    """The API server or the operator refuses it."""
    FIRST_VERSION = "FirstVersion"
    """No version is stable yet: that of the spec starts, and receives all of the traffic."""
    CANARY = "Canary"
    """A version starts with the first step of the rollout."""
    SUSPENDED = "Suspended"
    """Versions, pods or objects would change, and wait until spec.suspend is unset."""
    RESTART = "Restart"
    """The stable version's pods are replaced one by one, without a canary."""
    DEGRADED = "Degraded"
    """An SLO is missed by its new objective, and what the operator does about that follows."""
    UPDATE = "Update"
    """Objects change, and no pod is replaced."""
    NOTHING = "Nothing"
    """No version, no pod and no object changes."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect of an edit, in a sentence."""

    change: PlannedOutcome
    text: str


@dataclass(frozen=True, slots=True)
class Running:
    """The running objects of a product.

    Attributes
    ----------
    objects : by kind, as the API server has them. A kind that can't be read is left out.
    """

    objects: Mapping[Resource, tuple[Manifest, ...]]

    @property
    def kinds(self) -> frozenset[str]:
        """Return the kinds that can be compared."""
        return frozenset(resource.kind for resource in self.objects)

    def named(self) -> Named:
        """Return the objects by kind and name."""
        return {
            (resource.kind, body["metadata"]["name"]): body
            for resource, bodies in self.objects.items()
            for body in bodies
        }


def planned_objects(
    live: DataProduct, edited: DataProduct, settings: Settings, running: Running | None
) -> Iterator[Effect]:
    """Yield the objects of stable that the edit changes, and its pods that are replaced.

    Parameters
    ----------
    running : the objects that run; None if they are those that the live spec renders.
    """
    after = _rendered(live, edited, settings)
    if running is not None:
        yield from _by_running(running, after, live)
        return
    before = _rendered(live, live, settings)
    for kind, name in sorted(before.keys() | after.keys()):
        old, new = before.get((kind, name)), after.get((kind, name))
        if old is None or new is None:
            yield _there(kind, name, created=old is None)
        elif kind == DEPLOYMENTS.kind:
            yield from _deployment(name, old, new, live)
        elif _without_hash(old) != _without_hash(new):
            yield Effect(PlannedOutcome.UPDATE, f"{kind} {name} is updated")


def _rendered(live: DataProduct, product: DataProduct, settings: Settings) -> Named:
    """Return the stable version's objects rendered from a spec."""
    version = spec_version(product, runtime_image(product.spec, settings))
    stable = referred_to(live.status, version).stable
    assert stable is not None
    children = initial_children(product, stable, settings)
    return {(child["kind"], child["metadata"]["name"]): child for child in children}


def _by_running(running: Running, after: Named, live: DataProduct) -> Iterator[Effect]:
    """Yield the differences from the running objects; during a rollout only those of stable's pods."""
    without_candidate = live.status.candidate is None
    kinds = running.kinds if without_candidate else running.kinds & {DEPLOYMENTS.kind}
    before = running.named()
    removed = {(kind, name) for kind, name in before if kind in _OF_PRODUCT}
    for kind, name in sorted(after.keys() | removed):
        old, new = before.get((kind, name)), after.get((kind, name))
        if kind not in kinds:
            continue
        if old is None or new is None:
            yield _there(kind, name, created=old is None)
        elif kind == DEPLOYMENTS.kind:
            if _inputs(old) != _inputs(new):
                yield _restart(live)
            if without_candidate and "replicas" in new["spec"]:
                yield from _replicas(name, old, new)
        elif owned_part(old, names.FIELD_MANAGER).get("spec") != new["spec"]:
            yield Effect(PlannedOutcome.UPDATE, f"{kind} {name} is updated")


def _inputs(deployment: Manifest) -> object:
    """Return the hash of the pods' inputs, which an upgrade of the operator doesn't change."""
    return (deployment["metadata"].get("annotations") or {}).get(names.ANNOTATION_INPUTS_HASH)


def _there(kind: str, name: str, *, created: bool) -> Effect:
    verb = "created" if created else "deleted"
    return Effect(PlannedOutcome.UPDATE, f"{kind} {name} is {verb}")


def _restart(live: DataProduct) -> Effect:
    stable = live.status.stable
    assert stable is not None
    text = f"the pods of {stable.version} are replaced one by one, without a canary"
    return Effect(PlannedOutcome.RESTART, text)


def _replicas(name: str, old: Manifest, new: Manifest) -> Iterator[Effect]:
    before, after = (one["spec"].get("replicas", "autoscaled") for one in (old, new))
    if before != after:
        text = f"Deployment {name}: replicas {before} → {after}"
        yield Effect(PlannedOutcome.UPDATE, text)


def _deployment(name: str, old: Manifest, new: Manifest, live: DataProduct) -> Iterator[Effect]:
    if old["spec"]["template"] != new["spec"]["template"]:
        yield _restart(live)
    yield from _replicas(name, old, new)
    first, second = (
        {key: part for key, part in manifest["spec"].items() if key not in {"template", "replicas"}}
        for manifest in (old, new)
    )
    if first != second:
        yield Effect(PlannedOutcome.UPDATE, f"Deployment {name} is updated")


def _without_hash(child: Manifest) -> dict[str, Any]:
    meta = {key: part for key, part in child["metadata"].items() if key != "annotations"}
    return {**child, "metadata": meta}

"""A status that was lost, rebuilt from what the cluster still shows, before anything is written.

Each Deployment has its version, its acceptance and its baseline in annotations; the route has the
shares of the requests. The rest (evidence, attempts, cooldowns) is lost: a running canary returns
its share and is drained, and the rollout of spec.model starts again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.api.event_reasons import EventReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus, LastHandled, SpecModel
from sluicegate.api.versions import Candidate, PastVersion, Version, VersionBase
from sluicegate.kube.resources import Key
from sluicegate.manifests.names import version_name
from sluicegate.manifests.version_annotations import read_identity, read_version
from sluicegate.policy.model.past_times import without_future
from sluicegate.policy.rollout.candidates import recovered_candidate
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.live.children import DeploymentRecord, RouteRecord

_RESTORED_FIELDS: Final = ("spec_model", "history", "probation", "retraining")
"""Fields of status that only a product has that once had a stable version."""
_KEPT_FIELDS: Final = ("history", "retraining", "last_handled", "decision")
"""What may still be known where only the versions that live can't be read."""


@dataclass(frozen=True, slots=True)
class Children:
    """Reads the children of a product from which a lost status is restored.

    Attributes
    ----------
    live : Deployments by revision. route : its HTTPRoute. kinds : of all its children.
    """

    live: Callable[[], Mapping[str, DeploymentRecord]]
    route: Callable[[], RouteRecord | None]
    kinds: Callable[[], Iterable[str]]


def recovered_status(
    product: DataProduct,
    desired: VersionBase,
    children: Children,
    *,
    at_start: bool,
    lost_keys: set[Key],
    now: int,
) -> tuple[DataProduct, tuple[EventNote, ...]]:
    """Return the product with its status, restored from its Deployments if it was lost, and the events.

    Times in the future, from before a clock was set back, are corrected.

    Parameters
    ----------
    desired : the version of spec.model. children : reads the live children, only where needed.
    at_start : its first version is starting, so there is no status to restore.
    lost_keys : products without any promoted version left; updated here. now : in seconds.
    """
    key, block_seconds = Key(*product.metadata.key), product.spec.analysis.block_seconds
    status = without_future(product.status, now, block_seconds=block_seconds)
    if status is not product.status:
        product = product.replace(status=status)
    if status.stable is not None:
        lost_keys.discard(key)
        return product, ()
    if key in lost_keys:
        return with_requests_handled(product), ()
    new = product.status.observed_generation < 0
    if at_start:
        return (with_requests_handled(product) if new else product), ()
    restored = restored_status(product, desired, children.live(), children.route(), now=now)
    if restored is not None:
        text = "status did not name the live versions; it was rebuilt from the Deployments"
        event = EventNote(EventReason.STATE_RESTORED, "Restore", text)
        kept_parts = {
            name: part for name in _KEPT_FIELDS if (part := getattr(product.status, name))
        }
        engine = product.status.engine
        restored = restored.replace(**kept_parts).with_engine(
            original_baseline=engine.original_baseline, emitted_alerts=engine.emitted_alerts
        )
        return product.replace(status=restored), (event,)
    if not had_stable_version(product.status, children.kinds()):
        return _with_handled_requests(product) if new else (product, ())
    lost_keys.add(key)
    text = (
        "neither status nor a Deployment has the accepted version: spec.model becomes"
        " stable, without a baseline"
    )
    return with_requests_handled(product), (
        EventNote(EventReason.STATE_LOST, "Restore", text, warning=True),
    )


def restored_status(
    product: DataProduct,
    desired: VersionBase,
    live: Mapping[str, DeploymentRecord],
    route: RouteRecord | None,
    *,
    now: int,
) -> DataProductStatus | None:
    """Return a lost status, restored from the Deployments' annotations and the route's weights.

    None when no Deployment was ever promoted.

    Parameters
    ----------
    desired : the version of spec.model. live : Deployments by revision. now : in seconds.
    """
    versions = [
        version
        for deployment in live.values()
        if (version := read_version(dict(deployment.labels), dict(deployment.annotations)))
        is not None
    ]
    ready = any(deployment.ready for deployment in live.values())
    if not versions or (product.spec.route is not None and route is None and not ready):
        return None  # a first version that is still on its way says already when it began
    weights = _weights(product, live, route)

    def rank(version: Version) -> tuple[int, int, float]:
        deployment = live[version.revision]
        moment = version.promotion_time
        return weights[version.revision], deployment.replicas, moment

    stable, *other_versions = sorted(versions, key=rank, reverse=True)
    leaving_candidate = _leaving_version(stable, live, weights, now)
    return DataProductStatus(
        stable=stable,
        candidate=leaving_candidate,
        history=tuple(_past(past_version, stable) for past_version in other_versions),
        spec_model=_handled_model(desired, stable, live),
        last_handled=handled_requests(product),
    )


def _weights(
    product: DataProduct, live: Mapping[str, DeploymentRecord], route: RouteRecord | None
) -> dict[str, int]:
    """Return the shares by revision in percent: those of the route, or of the ready pods behind one Service."""
    if product.spec.route is None:
        pods = sum(deployment.total for deployment in live.values()) or 1
        return {revision: round(100 * one.total / pods) for revision, one in live.items()}
    route_weights = dict(route.weights) if route else {}
    name = product.metadata.name
    return {revision: route_weights.get(version_name(name, revision), 0) for revision in live}


def _past(version: Version, stable: Version) -> PastVersion:
    return PastVersion(
        **version.model_dump(exclude={"evaluation"}),
        outcome=Outcome.REPLACED,
        end_time=stable.promotion_time,
    )


def _leaving_version(
    stable: Version, live: Mapping[str, DeploymentRecord], weights: Mapping[str, int], now: int
) -> Candidate | None:
    """Return the second version with pods, which without evidence loses its share and then its pods."""
    versions_to_remove = [
        (weights[revision], deployment.replicas, identity)
        for revision, deployment in live.items()
        if revision != stable.revision
        and (deployment.replicas or deployment.total)
        and (identity := read_identity(dict(deployment.labels), dict(deployment.annotations)))
        is not None
    ]
    if not versions_to_remove:
        return None
    weight, _, version = max(versions_to_remove, key=lambda entry: entry[:2])
    weight = max(weight, 1)  # it may still be answering: its pods stay until it is drained
    promoted = read_version(
        dict(live[version.revision].labels), dict(live[version.revision].annotations)
    )
    return recovered_candidate(version, weight, now, restoring=promoted is not None)


def _handled_model(
    desired: VersionBase, stable: Version, live: Mapping[str, DeploymentRecord]
) -> SpecModel | None:
    """Return the outcome of spec.model; None if its rollout has to start again.

    A version that isn't stable counts as handled: beside a retrained stable version an old spec.model
    can't be distinguished from a new one. The exception is a Deployment that exists and was never
    promoted: its rollout was in progress, or was to be retried.
    """
    live_deployment = live.get(desired.revision)
    if (
        live_deployment is not None
        and read_version(dict(live_deployment.labels), dict(live_deployment.annotations)) is None
    ):
        return None
    is_outcome_known = desired.revision == stable.revision
    return SpecModel(
        image=desired.image,
        version=desired.version,
        runtime_image=desired.runtime_image,
        outcome=Outcome.PROMOTED if is_outcome_known else Outcome.SUPERSEDED,
        outcome_time=stable.promotion_time,
    )


def handled_requests(product: DataProduct) -> LastHandled | None:
    """Return all present one-shot requests marked as handled, so that none is carried out twice."""
    annotations = product.metadata.annotations
    handled = LastHandled.of(annotations)
    return None if handled == LastHandled() else handled


def had_stable_version(status: DataProductStatus, kinds: Iterable[str]) -> bool:
    """Return whether the objects of a product without a stable version show that it had one.

    Remaining parts of a status show it, and so does a child without a Deployment. An empty status
    without any child can't be distinguished from a new product.

    Parameters
    ----------
    kinds : of its live children.
    """
    if status.engine.original_baseline or any(getattr(status, field) for field in _RESTORED_FIELDS):
        return True
    kinds = set(kinds)
    return bool(kinds) and "Deployment" not in kinds and status.candidate is None


def _with_handled_requests(product: DataProduct) -> tuple[DataProduct, tuple[EventNote, ...]]:
    """Return a new product with the requests of its manifest marked as handled."""
    if (handled := handled_requests(product)) is None:
        return product, ()
    values = handled.model_dump(by_alias=True, exclude_defaults=True)
    text = (
        "requests that came with the product are recorded as handled, as they may be older than it"
        f" ({', '.join(f'{name} {value}' for name, value in values.items())}): ask again with another"
        " token if you want one carried out"
    )
    note = EventNote(EventReason.REQUESTS_NOT_CARRIED_OUT, "Reconcile", text)
    return with_requests_handled(product), (note,)


def with_requests_handled(product: DataProduct) -> DataProduct:
    """Return the product with all its present requests marked as handled."""
    handled = product.status.last_handled or handled_requests(product)
    status = product.status.replace(last_handled=handled)
    return product.replace(status=status)

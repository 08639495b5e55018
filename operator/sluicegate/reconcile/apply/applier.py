"""Write differing children by server-side apply, and delete leftovers; write nothing else.

The answer to each write goes into the caches, so the next reconcile sees it, and the watch's event
for it changes nothing.

Each write is for the very object that was observed, at the version at which it was observed: so
one that arrives late can't undo what a successor has written meanwhile. Others move versions too
(pods that become ready, an autoscaler that reports). A write that loses to them is a Conflict; the
object is then read, and the next attempt starts from there. A deletion needs no exception: status
moves with pods or every fifteen seconds, the attempts come seconds apart, and what is stale in one
of them is a few milliseconds old, so none loses indefinitely.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sluicegate.api import names
from sluicegate.api.names import DRAW_ROUTE_SUFFIX
from sluicegate.errors import SluicegateError
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    WebhookFailed,
)
from sluicegate.kube.managed_fields import fingerprint, owned_part
from sluicegate.kube.requests import ABSENT_VERSION
from sluicegate.kube.resources import (
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    JOBS,
    SERVICES,
    Key,
    Resource,
)
from sluicegate.manifests.common import Manifest
from sluicegate.manifests.names import draw_route_name
from sluicegate.reconcile.build import Child
from sluicegate.reconcile.live.children import ChildRecord, DeploymentRecord, RouteRecord
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.rereading import reread_after_conflict
from sluicegate.runtime.cache import Caches

logger = logging.getLogger(__name__)


class NameConflict(SluicegateError):  # noqa: N818 - the name of the condition's reason
    """An object has the name of a child but isn't owned by the product; it is never overwritten."""

    def __init__(self, resource: Resource, key: Key) -> None:
        super().__init__(
            f"{resource.kind} {key} exists and is not owned by this DataProduct: rename the"
            f" product, or delete the {resource.kind} if it is not needed"
        )


_REFUSALS: Final = (BadRequest, Conflict, Forbidden, Invalid, NotFound, WebhookFailed, NameConflict)
"""Answers about one object alone. After any other one, e.g. no answer, nothing else is tried."""
_ROUTING_KINDS: Final = frozenset({SERVICES, HTTP_ROUTES})
"""Kinds that say which pods get requests."""
_LIMITS: Final = frozenset({HORIZONTAL_POD_AUTOSCALERS})
"""Kinds that limit the pods of one version, and so leave room for those of another."""


def _urgency(error: KubeError | NameConflict) -> tuple[bool, bool]:
    """Rank an error: a name conflict is reported and checked again; a Conflict updates the cache."""
    return not isinstance(error, NameConflict), not isinstance(error, Conflict)


@dataclass(frozen=True, slots=True)
class _Write:
    """A change of one object; it is skipped after a refused write of a kind on which it depends."""

    resource: Resource
    key: Key
    send: Callable[[], Awaitable[None]]
    waits_for: frozenset[Resource] = frozenset()


@dataclass(frozen=True, slots=True)
class Applier:
    """Writes the children of products.

    Attributes
    ----------
    tenant_account : ServiceAccount of a product's namespace on whose behalf its children are written; empty for
        the operator's own account.
    """

    api: KubeApi
    caches: Caches
    tenant_account: str = ""

    async def apply(
        self,
        product: ProductRecord,
        children: Collection[Child],
        obsolete_children: Collection[tuple[Resource, ChildRecord]] = (),
    ) -> None:
        """Write each child that differs from the live object, and delete the leftovers.

        A refused child delays only the children that depend on it: a change of the route is most
        urgent while the Deployments are refused. At the end the refusal with the earliest retry is
        raised: NameConflict for an object that the product doesn't own.
        """
        refusals: list[KubeError | NameConflict] = []
        refused_kinds: set[Resource] = set()
        for write in self._writes(product, children, obsolete_children):
            if not refused_kinds.isdisjoint(write.waits_for):
                continue
            try:
                await write.send()
            except _REFUSALS as error:
                logger.info("%s %s isn't written: %s", write.resource.kind, write.key, error)
                refusals.append(error)
                refused_kinds.add(write.resource)
        if refusals:
            raise min(refusals, key=_urgency)

    def _writes(
        self,
        product: ProductRecord,
        children: Collection[Child],
        obsolete_children: Collection[tuple[Resource, ChildRecord]],
    ) -> Iterator[_Write]:
        """Yield the writes in an order in which each request always finds a pod.

        Traffic leaves a version first. A Deployment gives up pods when all that directs requests
        is as it should be, routes that are to go included; other leftovers go when all else is.

        A route of draws that is to go is deleted before the weights change: a Gateway reads both
        from one watch, so one that has accepted the new weights has no draws any more.
        """
        apply = partial(self._apply_one, product)
        draws = Key(product.key.namespace, draw_route_name(product.key.name))
        for resource, record in obsolete_children:
            if resource == HTTP_ROUTES and record.key == draws:
                yield _Write(resource, record.key, partial(self.delete, resource, record))
        for child in sorted(children, key=self._keeps_weights):
            if not self._gives_up_pods(child):
                # A limit that is written before is of this rollout; another one comes after, and holds nothing.
                limits = _LIMITS if self._added_pods(child) > 0 else frozenset()
                yield _Write(child.resource, child.key, partial(apply, child), limits)
        for resource, record in obsolete_children:
            if resource == HTTP_ROUTES and record.key != draws:
                yield _Write(resource, record.key, partial(self.delete, resource, record))
        for child in filter(self._gives_up_pods, children):
            yield _Write(child.resource, child.key, partial(apply, child), _ROUTING_KINDS)
        all_kinds = frozenset(cache.watched.resource for cache in self.caches)
        for resource, record in obsolete_children:
            if resource != HTTP_ROUTES:
                yield _Write(
                    resource, record.key, partial(self.delete, resource, record), all_kinds
                )

    async def dry_run(self, product: ProductRecord, children: Iterable[Child]) -> None:
        """Send each change of a child as a dry run; raise the API server's refusal. Nothing is stored.

        What isn't there yet serves no user, and the write itself shows an error: to try a candidate's
        objects first would be two requests more for each promotion.
        """
        for child in children:
            live = self._live(child.resource, child.key)
            if live is None or live.owner != product.uid:
                continue
            if live.fingerprint != child.fingerprint:
                writer = self._writer(child.key.namespace)
                await writer.try_apply(child.resource, child.manifest)

    async def _apply_one(self, product: ProductRecord, child: Child) -> None:
        live = self._live(child.resource, child.key)
        if live is None:
            await self._create(child)
        elif live.owner != product.uid:
            self._check_is_going(product, child, live)
        elif live.fingerprint != child.fingerprint:
            await self._update(child, live)

    def _gives_up_pods(self, child: Child) -> bool:
        return self._added_pods(child) < 0

    def _added_pods(self, child: Child) -> int:
        """Return how many more pods a Deployment gets; 0 for other objects, and where an autoscaler decides."""
        desired = child.manifest["spec"].get("replicas") if child.resource == DEPLOYMENTS else None
        if desired is None:
            return 0
        live = self._live(child.resource, child.key)
        return int(desired) - (live.replicas if isinstance(live, DeploymentRecord) else 0)

    def _keeps_weights(self, child: Child) -> bool:
        """Return False for a route that reduces a version's weight while each of its backends exists.

        Return False for the route of draws if each of its backends exists: written after the weights, it
        would let the calls of one request reach different versions until then.
        """
        if child.resource != HTTP_ROUTES:
            return True
        weights: dict[str, int] = {}
        for rule in child.manifest["spec"]["rules"]:
            for backend in rule["backendRefs"]:  # the first rule is split, later ones may not be
                weights.setdefault(backend["name"], backend["weight"])
        services = (Key(child.key.namespace, name) for name in weights)
        services_exist = all(self._live(SERVICES, key) is not None for key in services)
        if child.key.name.endswith(DRAW_ROUTE_SUFFIX):
            return not services_exist
        live = self._live(child.resource, child.key)
        weights_before = live.weights if isinstance(live, RouteRecord) else ()
        return not (
            services_exist and any(weights.get(name, 0) < weight for name, weight in weights_before)
        )

    def _check_is_going(self, product: ProductRecord, child: Child, live: ChildRecord) -> None:
        """Wait until the deleted product's object of this name is removed; NameConflict if it has another owner."""
        if live.owner and live.parent == product.key:
            raise Conflict(
                f"{child.resource.kind} {child.key} of the deleted DataProduct is still"
                " being garbage-collected"
            )
        raise NameConflict(child.resource, child.key)

    async def create_job(self, manifest: Manifest) -> None:
        """Create a training Job; an existing Job of this name and owner is the same training.

        NameConflict for one not owned by us: its end would count as the end of this training.
        """
        key = Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        try:
            body = await self._writer(key.namespace).create(JOBS, manifest)
        except AlreadyExists:
            body = await self.api.get(JOBS, key)
            if not _belongs_to(body, manifest):
                raise NameConflict(JOBS, key) from None
        self.caches.written(JOBS, body)

    async def patch_job(self, record: ChildRecord, change: Manifest) -> None:
        """Merge a change into a training Job."""
        async with reread_after_conflict(self.api, self.caches, JOBS, record.key):
            body = await self._writer(record.key.namespace).patch(
                JOBS, record.key, change, resource_version=str(record.version)
            )
        self.caches.written(JOBS, body)

    async def delete(self, resource: Resource, record: ChildRecord) -> None:
        """Delete the object with the observed uid; do nothing if it no longer exists."""
        async with reread_after_conflict(self.api, self.caches, resource, record.key):
            with contextlib.suppress(NotFound):
                await self._writer(record.key.namespace).delete(
                    resource, record.key, uid=record.uid, resource_version=str(record.version)
                )

    def leftovers(
        self, product: ProductRecord, children: Iterable[Child]
    ) -> Iterator[tuple[Resource, ChildRecord]]:
        """Return the children of the product, Jobs apart, that are no longer to exist."""
        desired = {(child.resource, child.key) for child in children}
        for cache in self.caches:
            resource = cache.watched.resource
            if resource.group == names.GROUP or resource == JOBS:
                continue
            for record in cache.children(product.key):
                assert isinstance(record, ChildRecord)
                if record.owner == product.uid and (resource, record.key) not in desired:
                    yield resource, record

    def _writer(self, namespace: str) -> KubeApi:
        """Return the client that writes the objects of a namespace."""
        if not self.tenant_account:
            return self.api
        return self.api.as_user(f"system:serviceaccount:{namespace}:{self.tenant_account}")

    def _live(self, resource: Resource, key: Key) -> ChildRecord | None:
        record = self.caches[resource].get(key)
        assert record is None or isinstance(record, ChildRecord)
        return record

    async def _create(self, child: Child) -> None:
        """Create an object that the cache lacks; an object of that name that isn't owned by us is not changed."""
        try:
            body = await self._writer(child.key.namespace).apply(
                child.resource, child.manifest, resource_version=ABSENT_VERSION
            )
        except Conflict:
            body = await self.api.get(child.resource, child.key)
            if not _belongs_to(body, child.manifest):
                raise NameConflict(child.resource, child.key) from None
            self.caches.written(child.resource, body)
            live = self._live(child.resource, child.key)
            if live is None or live.fingerprint != child.fingerprint:
                raise  # no watch event follows: the cache has the object already
        else:
            self.caches.written(child.resource, body)

    async def _update(self, child: Child, live: ChildRecord) -> None:
        manifest = child.manifest
        if isinstance(live, DeploymentRecord) and _is_upgrade(manifest, live):
            manifest = await self._with_live_template(manifest, live)
            if fingerprint(manifest) == live.fingerprint:
                return
        # The version alone would let a late write create a deleted object again.
        observed = manifest | {"metadata": manifest["metadata"] | {"uid": live.uid}}
        async with reread_after_conflict(self.api, self.caches, child.resource, child.key):
            body = await self._writer(child.key.namespace).apply(
                child.resource, observed, resource_version=str(live.version)
            )
        self.caches.written(child.resource, body)

    async def _with_live_template(self, manifest: Manifest, live: DeploymentRecord) -> Manifest:
        """Return the manifest with the pod template that an older operator rendered from the same spec."""
        body = await self.api.get(DEPLOYMENTS, live.key)
        template = owned_part(body, names.FIELD_MANAGER).get("spec", {}).get("template")
        if template is None:
            return manifest
        annotations = {
            names.ANNOTATION_TEMPLATE_HASH: live.annotation(names.ANNOTATION_TEMPLATE_HASH)
        }
        meta = manifest["metadata"]
        return manifest | {
            "metadata": meta | {"annotations": meta["annotations"] | annotations},
            "spec": manifest["spec"] | {"template": template},
        }


def _belongs_to(body: Manifest, manifest: Manifest) -> bool:
    """Return whether an object has the expected owner."""
    references: list[dict[str, Any]] = body["metadata"].get("ownerReferences") or []
    owner = manifest["metadata"]["ownerReferences"][0]["uid"]
    return owner in (reference.get("uid") for reference in references)


def _is_upgrade(manifest: Manifest, live: DeploymentRecord) -> bool:
    """Return whether only the operator changed: equal inputs of the spec, another template."""
    annotations: dict[str, Any] = manifest["metadata"]["annotations"]
    same_inputs = annotations.get(names.ANNOTATION_INPUTS_HASH) == live.annotation(
        names.ANNOTATION_INPUTS_HASH
    )
    same_template = annotations.get(names.ANNOTATION_TEMPLATE_HASH) == live.annotation(
        names.ANNOTATION_TEMPLATE_HASH
    )
    return same_inputs and not same_template

"""Products with requested trainings, reconciled by the operator's own reconciler.

The API server is a stand-in over real HTTP that refuses Jobs where `refuses` says so; Jobs end when
the test says so. Time is the fleet's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sluicegate.api import names
from sluicegate.api.base import rfc3339
from sluicegate.errors import SluicegateError
from sluicegate.kube.resources import DATA_PRODUCTS, JOBS, SERVICE_ACCOUNTS, Key
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.runtime.clock import Clocks
from tests.support.apiserver.api_stand_in import ApiStandIn, failure
from tests.support.apiserver.built_controller import build_controller, reconciler_of
from tests.support.decisions.rollout_world import START, World, document

if TYPE_CHECKING:
    from aiohttp import web

    from sluicegate.reconcile.reconciler import ProductReconciler
    from sluicegate.settings import Settings

Body = dict[str, Any]

TRAINING: Body = {"command": ["train"], "output": "registry.example/bentos/search"}


@dataclass
class RefusingServer(ApiStandIn):
    """Refuses Jobs of some namespaces, each with a status and a reason."""

    refuses: dict[str, tuple[int, str]] = field(default_factory=dict)
    now: int = START

    def _create(self, path: str, body: Body) -> web.Response:
        if refused := self.refuses.get(body["metadata"]["namespace"]):
            return failure(*refused)
        meta = body["metadata"] | {"creationTimestamp": rfc3339(self.now)}
        return super()._create(path, body | {"metadata": meta})


def serving(**spec: Any) -> tuple[Body, Body]:
    """Return spec and status of a product whose first version has served for a while."""
    world = World(spec=document(route=None, slos=[], retraining=TRAINING, **spec))
    world.until(lambda one: one.serving == "v1")
    return world.spec, world.status


@dataclass
class Fleet:
    """The products, the server and the operator."""

    server: RefusingServer
    settings: Settings
    product: tuple[Body, Body]
    request_number: int = 0
    keys: list[Key] = field(default_factory=list)
    refused: dict[Key, str] = field(default_factory=dict)
    """What each product's last reconcile failed with."""

    def __post_init__(self) -> None:
        """Begin."""
        self.start()

    def start(self) -> None:
        """Start the operator, or restart it with what the server holds."""
        self.controller = build_controller(
            self.server.api, self.settings, Clocks(wall=lambda: self.server.now)
        )
        self.reconciler: ProductReconciler = reconciler_of(self.controller)
        for cache in self.reconciler.reader.observer.caches:
            for body in self.server.objects.values():
                if body.get("kind") == cache.watched.resource.kind:
                    cache.observe(body)
        self._sync()

    async def restart(self) -> None:
        """Let another replica take over, which reads its state from the server only."""
        self.start()
        await self.controller.begin()

    # ---- what people do ---------------------------------------------------------------------
    def add(self, namespace: str, name: str = "search", **spec: Any) -> Key:
        """Return a product that serves."""
        body, status = self.product
        key = Key(namespace, name)
        meta = body["metadata"] | {"namespace": namespace, "name": name, "uid": f"uid-of-{key}"}
        merged = body["spec"] | spec
        self._keep(body | {"metadata": meta, "spec": merged, "status": status})
        self.keys.append(key)
        return key

    def ask(self, key: Key) -> None:
        """Request a retraining."""
        self.request_number += 1
        body = self.body(key)
        annotations = {names.REQUEST_RETRAIN: f"token-{self.request_number}"}
        self._keep(body | {"metadata": body["metadata"] | {"annotations": annotations}})

    def edit(self, key: Key, **spec: Any) -> None:
        """Change fields of the spec; None removes one."""
        body = self.body(key)
        merged = {name: value for name, value in (body["spec"] | spec).items() if value is not None}
        generation = body["metadata"]["generation"] + 1
        self._keep(
            body | {"spec": merged, "metadata": body["metadata"] | {"generation": generation}}
        )

    def account(self, namespace: str, *, allowed: bool) -> None:
        """Create a ServiceAccount for trainings, with or without its owner's permission."""
        labels = {names.LABEL_ALLOW_TRAINING: "true"} if allowed else {}
        meta = {"namespace": namespace, "name": "trainer", "labels": labels}
        self.server.keep(SERVICE_ACCOUNTS, {"metadata": meta})

    # ---- what the cluster does --------------------------------------------------------------
    def end(self, key: Key) -> None:
        """Let the product's Jobs fail."""
        for job in self.jobs(key):
            body = self.server.objects[JOBS.path(*job.key)]
            failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
            self.server.keep(JOBS, body | {"status": {"conditions": [failed]}})
        self._sync()

    def patch_job(self, key: Key, **spec: Any) -> None:
        """Edit the product's running Jobs, as a person with permission may."""
        for job in self.jobs(key):
            body = self.server.objects[JOBS.path(*job.key)]
            status = {"startTime": body["metadata"]["creationTimestamp"]}
            self.server.keep(JOBS, body | {"spec": body["spec"] | spec, "status": status})
        self._sync()

    async def run_passes(self, seconds: int = 0, *, rounds: int = 3) -> None:
        """Let time pass; reconcile each product, then the requeued ones, for this many rounds."""
        self.server.now += seconds
        for _ in range(rounds):
            for key in self.keys:
                self.reconciler.effects.queue.add(key)
            while (due := self.reconciler.effects.queue.poll()) is not None:
                await self._reconcile(due)

    # ---- what is seen -----------------------------------------------------------------------
    def body(self, key: Key) -> Body:
        """Return the product as the server holds it."""
        return self.server.objects[DATA_PRODUCTS.path(*key)]

    def retraining(self, key: Key) -> Body:
        """Return its status about retraining."""
        return self.body(key)["status"].get("retraining") or {}

    def condition(self, key: Key, kind: str = "RetrainingActive") -> tuple[str, str, str]:
        """Return status, reason and message of a condition."""
        condition = next(
            condition
            for condition in self.body(key)["status"]["conditions"]
            if condition["type"] == kind
        )
        return condition["status"], condition["reason"], condition.get("message", "")

    def jobs(self, key: Key) -> tuple[JobRecord, ...]:
        """Return its Jobs that haven't ended."""
        jobs = self.reconciler.reader.observer.caches[JOBS].children(key)
        return tuple(job for job in jobs if isinstance(job, JobRecord) and not job.finished)

    def has_job(self, key: Key, name: str) -> bool:
        """Return whether there is a Job of this name beside the product."""
        return JOBS.path(key.namespace, name) in self.server.objects

    def training(self) -> set[Key]:
        """Return products that have a Job that runs."""
        return {key for key in self.keys if self.jobs(key)}

    def slots(self) -> set[Key]:
        """Return products that have a slot, as the operator counts them."""
        return {key for key in self.keys if self.reconciler.reporter.fleet._snapshots[key].training}

    # ---- inside -----------------------------------------------------------------------------
    async def _reconcile(self, key: Key) -> None:
        self.refused.pop(key, None)
        try:
            await self.reconciler.reconcile(key)
        except SluicegateError as error:
            self.refused[key] = str(error)
        self.reconciler.effects.queue.done(key)
        self._sync()

    def _keep(self, body: Body) -> None:
        self._see(DATA_PRODUCTS, self.server.keep(DATA_PRODUCTS, body))

    def _see(self, resource: Any, body: Body) -> None:
        self.reconciler.reader.observer.caches[resource].observe(body)

    def _sync(self) -> None:
        """Let the caches see the Jobs as a watch shows them, and call whose changed."""
        cache = self.reconciler.reader.observer.caches[JOBS]
        live = {
            Key(body["metadata"]["namespace"], body["metadata"]["name"]): body
            for path, body in self.server.objects.items()
            if "/jobs/" in path
        }
        for key in cache:
            record = cache.get(key)
            if key not in live and record is not None:
                meta = {"namespace": key.namespace, "name": key.name, "uid": record.uid}
                cache.forget({"metadata": meta | {"resourceVersion": "0"}})
                self.reconciler.effects.queue.add(record.parent)
        for body in live.values():
            if (change := cache.observe(body)) is not None:
                self.reconciler.effects.queue.add(change.product)

"""The operator's own controller on an API server that isn't real; nothing of it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluicegate.manager import Controller, Tools
from sluicegate.reconcile.live.children import watched
from sluicegate.reconcile.reconciler import ProductReconciler
from sluicegate.reviews.schedule import ReviewedReconciler
from sluicegate.runtime.cache import Caches
from sluicegate.runtime.clock import Clocks, boot_seconds
from sluicegate.runtime.event_recorder import EventRecorder
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.settings import Settings
from sluicegate.spans import no_spans
from sluicegate.wiring import build

if TYPE_CHECKING:
    from sluicegate.kube.client import KubeApi


def build_controller(
    api: KubeApi, settings: Settings | None = None, clocks: Clocks | None = None
) -> Controller:
    """Return a controller with empty caches and an empty queue."""
    recorder = EventRecorder(api, boot_seconds, instance_name="test")
    queue = WorkQueue(boot_seconds, jitter=lambda: 1.0)
    tools = Tools(
        settings or Settings(),
        api,
        Caches(watched()),
        queue,
        recorder,
        no_spans,
        clocks=clocks or Clocks(),
    )
    return build(tools)


def reconciler_of(controller: Controller) -> ProductReconciler:
    """Return its reconciler of products, without the ledgers that follow each reconcile."""
    assert isinstance(controller.reconciler, ReviewedReconciler)
    reconciler = controller.reconciler.reconciler
    assert isinstance(reconciler, ProductReconciler)
    return reconciler

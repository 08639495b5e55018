"""What is known of a product whose status says nothing: from its children, or that it was lost."""

from typing import Final

from sluicegate.api.event_reasons import EventReason
from sluicegate.api.product import DataProduct
from sluicegate.api.versions import VersionBase
from sluicegate.kube.resources import Key
from sluicegate.reconcile.decide.events import Told
from sluicegate.reconcile.decide.status_recovery import (
    restored_status,
    was_there_before,
    with_requests_handled,
)
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.observer import Observer
from sluicegate.reconcile.report.first_version_start import FirstStarts

_KEPT: Final = ("history", "retraining", "last_handled", "decision")
"""What may still be known where only the versions that live can't be read."""


def known_status(
    record: ProductRecord,
    product: DataProduct,
    wanted: VersionBase,
    *,
    observer: Observer,
    starts: FirstStarts,
    lost: set[Key],
    now: int,
) -> tuple[DataProduct, tuple[Told, ...]]:
    """The product with its status, rebuilt from its Deployments if it was lost, and what is told.

    Parameters
    ----------
    wanted : what spec.model stands for. lost : products of which nothing is left; kept up to date.
    now : in seconds.
    """
    key = record.key
    if product.status.stable is not None:
        lost.discard(key)
        return product, ()
    if key in lost:
        return with_requests_handled(product), ()
    if key in starts:
        return product, ()
    live, route = observer.live(record), observer.route(record)
    restored = restored_status(product, wanted, live, route, now=now)
    if restored is not None:
        text = "status did not name the live versions; it was rebuilt from the Deployments"
        told = Told(EventReason.STATE_RESTORED, "Restore", text)
        kept = {name: part for name in _KEPT if (part := getattr(product.status, name))}
        engine = product.status.engine
        restored = restored.replace(**kept).with_engine(
            original_baseline=engine.original_baseline, emitted_alerts=engine.emitted_alerts
        )
        return product.model_copy(update={"status": restored}), (told,)
    if not was_there_before(product.status, observer.kinds(record)):
        return product, ()
    lost.add(key)
    text = (
        "neither status nor a Deployment has the accepted version: spec.model becomes"
        " stable, without a baseline"
    )
    return with_requests_handled(product), (
        Told(EventReason.STATE_LOST, "Restore", text, warning=True),
    )

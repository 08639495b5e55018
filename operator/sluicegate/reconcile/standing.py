"""What the others may know of a product after a step: whoever depends on it, or waits for a slot."""

from sluicegate.api.memory import SloState
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.status import ProductState
from sluicegate.kube.resources import Key
from sluicegate.reconcile.portfolio import Standing
from sluicegate.reconcile.records import ProductRecord
from sluicegate.reconcile.step import Step
from sluicegate.reconcile.warming import just_took_over


def standing_of(product: DataProduct, step: Step, *, block: int, now: int) -> Standing:
    """What the others may know of a product after a step.

    Parameters
    ----------
    block : index of the newest block that it was judged by. now : in seconds.
    """
    status, spec = step.status, product.spec
    seconds = spec.analysis.block_seconds
    streaks = [slo.streak.first * seconds for slo in status.slos if slo.streak is not None]
    kinds = {slo.name: slo.indicator.kind.value for slo in spec.slos}
    silent: dict[str, bool] = {}
    young = status.stable is not None and just_took_over(status.stable, seconds, now=now)
    for slo in status.slos:
        # Series of a version that only just took over are about to appear: that is no silence.
        if slo.name in kinds and not young:
            mute = slo.state is SloState.UNKNOWN and slo.reason == DecisionReason.NO_DATA
            silent[kinds[slo.name]] = silent.get(kinds[slo.name], False) or mute
    waits = (
        step.evaluation is not None and step.evaluation.decision.reason is DecisionReason.NO_SLOT
    )
    return Standing(
        state=status.state or ProductState.UNKNOWN,
        block_seconds=seconds,
        bad_since=min(streaks, default=None),
        degraded_at=now if status.state is ProductState.DEGRADED else None,
        silent=silent,
        depends_on=tuple(
            Key(one.namespace or product.metadata.namespace, one.name) for one in spec.depends_on
        ),
        priority=spec.priority,
        training=status.retraining is not None and status.retraining.trigger is not None,
        waiting_since=min(streaks, default=0) if waits else None,
        judged=block * seconds,
    )


def standing_before(record: ProductRecord) -> Standing:
    """What a product's status says of it before anybody has looked at it since the start.

    All products at once, so the few fields are taken from the text, and a spec is read only of
    those that are bad. What an older version of the API wrote says nothing.
    """
    status = record.status
    training = bool((status.get("retraining") or {}).get("trigger"))
    firsts = [
        slo["streak"]["first"]
        for slo in status.get("slos") or ()
        if (slo.get("streak") or {}).get("first")
    ]
    if not firsts:
        return Standing(training=training)
    analysis = record.spec.get("analysis") or {}
    seconds = analysis.get("blockSeconds", Standing().block_seconds)
    return Standing(
        state=ProductState.DEGRADED
        if status.get("state") == ProductState.DEGRADED
        else ProductState.UNKNOWN,
        block_seconds=seconds,
        bad_since=min(firsts) * seconds,
        training=training,
    )

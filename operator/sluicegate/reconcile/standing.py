"""What the others may know of a product after a step: whoever depends on it, or waits for a slot."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sluicegate.api.description import Priority
from sluicegate.api.memory import SloState
from sluicegate.api.names import DecisionReason
from sluicegate.api.status import DataProductStatus, ProductState
from sluicegate.kube.resources import Key
from sluicegate.reconcile.product_record import ProductRecord
from sluicegate.reconcile.situation import Situation
from sluicegate.reconcile.step import Step
from sluicegate.reconcile.warming import just_took_over

COMMON_BLOCKS = 3
"""Products that turned bad within this many blocks turned bad together."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the others may know of a product.

    Attributes
    ----------
    state : as it was evaluated last.
    block_seconds : length of its blocks.
    bad_since : end of the block by which it was first found bad; None while it isn't.
    fine_at : end of the newest block by which it was found not to be; None when that isn't known.
    degraded_at : when it was last found degraded; None when that isn't known.
    silent : by kind of indicator of which it had data, whether an SLO of it has none any more.
    depends_on : products that it calls.
    priority : who trains first.
    training : it trains.
    waiting_since : it wants to train since then; None when it doesn't.
    judged : end of the newest block that it was judged by, in seconds.
    """

    state: ProductState = ProductState.UNKNOWN
    block_seconds: int = 300
    bad_since: int | None = None
    fine_at: int | None = None
    degraded_at: int | None = None
    silent: Mapping[str, bool] = field(default_factory=dict)
    depends_on: tuple[Key, ...] = ()
    priority: Priority = Priority.MEDIUM
    training: bool = False
    waiting_since: int | None = None
    judged: int = 0

    @property
    def turns_bad(self) -> bool:
        """Whether it is bad and that isn't confirmed yet."""
        return self.state is ProductState.DEGRADING and self.bad_since is not None

    def is_due(self, block_end: int) -> bool:
        """Whether it is still to be judged by a block that ended by then."""
        return self.judged + self.block_seconds <= block_end

    def turned(self, now: int) -> tuple[int, int]:
        """Ends of the first and the last block in which it may have turned bad.

        They are the same block as long as each is judged in time. Where judging is late, some
        blocks are never judged by, and it turned bad in any of them.

        Parameters
        ----------
        now : the moment to take for one that isn't found bad, should it be so now.
        """
        last = now if self.bad_since is None else self.bad_since
        first = last if self.fine_at is None else self.fine_at + self.block_seconds
        return min(first, last), last

    def near(self, turned: tuple[int, int]) -> tuple[int, int] | None:
        """The part of these moments within three blocks of which it may have turned bad, too.

        None when there is none, or when it isn't bad.
        """
        if self.bad_since is None:
            return None
        first, last = self.turned(self.bad_since)
        reach = COMMON_BLOCKS * self.block_seconds
        begin, end = max(first - reach, turned[0]), min(last + reach, turned[1])
        return (begin, end) if begin <= end else None

    def following(self, before: "Standing") -> "Standing":
        """The same, with what only the one before can tell."""
        return replace(
            self,
            degraded_at=before.degraded_at if self.degraded_at is None else self.degraded_at,
            fine_at=before.fine_at if self.fine_at is None else self.fine_at,
        )


def standing_of(situation: Situation, step: Step) -> Standing:
    """What the others may know of a product after a step."""
    status, spec = step.status, situation.product.spec
    block, now = situation.observed.block, situation.now
    seconds = spec.analysis.block_seconds
    firsts = [slo.streak.first * seconds for slo in status.slos if slo.streak is not None]
    # In blocks that were shorter until a moment ago, what happened lies far ahead.
    streaks = [first for first in firsts if first <= now]
    waits = (
        step.evaluation is not None and step.evaluation.decision.reason is DecisionReason.NO_SLOT
    )
    evaluated = step.evaluation is not None and status.state is not ProductState.UNKNOWN
    return Standing(
        state=status.state or ProductState.UNKNOWN,
        block_seconds=seconds,
        bad_since=min(streaks, default=None),
        fine_at=block * seconds if evaluated and not firsts else None,
        degraded_at=now if status.state is ProductState.DEGRADED else None,
        silent=_silent(situation, status),
        depends_on=tuple(
            Key(one.namespace or situation.product.metadata.namespace, one.name)
            for one in spec.depends_on
        ),
        priority=spec.priority,
        training=status.retraining is not None and status.retraining.trigger is not None,
        waiting_since=min(streaks, default=0) if waits else None,
        judged=block * seconds,
    )


def _silent(situation: Situation, status: DataProductStatus) -> dict[str, bool]:
    """By kind of indicator of which there was data, whether an SLO has none any more.

    One that never had any says nothing of what all share: nobody has wired its labels yet.
    """
    stable, spec = status.stable, situation.product.spec
    kinds = {slo.name: slo.indicator.kind.value for slo in spec.slos}
    silent: dict[str, bool] = {}
    # Series of a version that only just took over are about to appear: that is no silence.
    if stable is None or just_took_over(stable, spec.analysis.block_seconds, now=situation.now):
        return silent
    for slo in status.slos:
        if slo.name not in kinds:
            continue
        unknown = slo.state is SloState.UNKNOWN
        if not unknown or situation.observed.had_data(stable.version, slo.name):
            mute = unknown and slo.reason == DecisionReason.NO_DATA
            silent[kinds[slo.name]] = silent.get(kinds[slo.name], False) or mute
    return silent


def standing_before(record: ProductRecord) -> Standing:
    """What a product's status says of it before anybody has looked at it since the start.

    A status that can't be read says nothing. A spec is read only of products that are bad.
    """
    status = record.status
    training = status.retraining is not None and status.retraining.trigger is not None
    firsts = [slo.streak.first for slo in status.slos if slo.streak is not None]
    if not firsts:
        return Standing(training=training)
    seconds = record.block_seconds
    degraded = status.state is ProductState.DEGRADED
    return Standing(
        state=ProductState.DEGRADED if degraded else ProductState.UNKNOWN,
        block_seconds=seconds,
        bad_since=min(firsts) * seconds,
        training=training,
    )

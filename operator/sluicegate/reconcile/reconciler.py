"""One idempotent pass for one product: observe, decide, build, record the status, apply.

Status is written before its effects: a trigger before its Job, a weight before the route. After a
crash the next pass reads the decision from status, and does nothing twice. Only the first version is an
exception: nothing is lost with it, and a write is saved. docs/performance.md lists the fast paths.

What concerns a pass as a whole is around it (`interceptors`): who may reconcile the product, a slot
for its training, a spec that can't be carried out, the claims of its route.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from sluicegate.kube.resources import Key
from sluicegate.reconcile.apply.effects import Effects
from sluicegate.reconcile.decide.planner import Plan, make_plan
from sluicegate.reconcile.decide.requeue import requeue_after
from sluicegate.reconcile.decide.status_recovery import Children, recovered_status
from sluicegate.reconcile.live.product import Pass, ProductRecord
from sluicegate.reconcile.observe.effective_spec import EffectiveSpec
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.observe.pass_reader import PassReader
from sluicegate.reconcile.report.reporter import Reporter
from sluicegate.reconcile.report.status_due import can_wait
from sluicegate.reconcile.report.traffic_status import with_first_split
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import Done, Result
from sluicegate.spans import Spans, no_spans


class Interceptor(Protocol):
    """Runs around each pass of a product, and may return a result instead of the pass."""

    async def __call__(self, record: ProductRecord, next_step: Pass) -> Result:
        """Call the next step of the pass, or return a result without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductReconciler:
    """Reconciles DataProducts: observe, decide, build, record the status, apply.

    Attributes
    ----------
    record_of : the cached record of a product to reconcile; None for a deleted one.
    excluded : namespaces whose products aren't reconciled.
    interceptors : around each pass, the first one outermost.
    forgetting : functions that drop the state of a deleted product.
    lost_keys : products that once had a stable version, whose status and Deployments are missing.
    """

    record_of: Callable[[Key], ProductRecord | None]
    excluded: Collection[str]
    reader: PassReader
    reporter: Reporter
    effects: Effects
    interceptors: tuple[Interceptor, ...]
    forgetting: tuple[Callable[[Key], None], ...]
    wall: Clock
    plan: Callable[[Observation], Plan] = make_plan
    spans: Spans = no_spans
    lost_keys: set[Key] = field(default_factory=set)

    async def reconcile(self, key: Key) -> Result:
        """Run one pass for a product; return when to requeue it."""
        record = self.record_of(key)
        if record is None or key.namespace in self.excluded:
            for forget in (self.lost_keys.discard, *self.forgetting):
                forget(key)
            return Done()
        next_step: Pass = self._reconcile
        for interceptor in reversed(self.interceptors):
            next_step = partial(interceptor, next_step=next_step)
        return await next_step(record)

    async def _reconcile(self, record: ProductRecord) -> Result:
        """Run one pass: observe, decide, build, record the status, apply; return when to requeue."""
        effective_spec = self.reader.specs.read(record)
        with self.spans("observe"):
            observation = await self._observed(record, effective_spec)
        with self.spans("decide") as span:
            plan = self.plan(observation)
            observation = await self._routed(observation, plan)
            desired = self.effects.build(record, observation, plan)
            span.set("sluicegate.decision", decision_of(plan))
        # Before the first await: products that are evaluated meanwhile must see the slot as taken.
        self.reporter.publish(record, observation, plan)
        deferred = can_wait(observation, plan)
        observation = await self.effects.with_expected_pods(record, observation, plan, desired)
        with self.spans("report"):
            written_record = await self.reporter.record(
                record, observation, plan, deferred=deferred
            )
        with self.spans("apply"):
            await self.effects.apply(written_record, observation, plan, desired)
        self.reporter.measure(observation, plan)
        conflicted = self.effects.is_hindered(record.key)
        return requeue_after(observation, plan, conflicted=conflicted, deferred=deferred)

    async def _observed(self, record: ProductRecord, effective_spec: EffectiveSpec) -> Observation:
        """Read the observation of a pass; a lost status is restored first."""
        now, read = int(self.wall()), self.reader.observer
        product, events = recovered_status(
            effective_spec.product,
            effective_spec.desired,
            Children(
                partial(read.live, record), partial(read.route, record), partial(read.kinds, record)
            ),
            at_start=record.key in self.reader.first_starts,
            lost_keys=self.lost_keys,
            now=now,
        )
        self.reporter.writer.emit(record, events)
        effective_spec, status_lost = (
            replace(effective_spec, product=product),
            record.key in self.lost_keys,
        )
        return await self.reader.observe(record, effective_spec, now=now, status_lost=status_lost)

    async def _routed(self, observation: Observation, plan: Plan) -> Observation:
        """Return the observation with the traffic split of a new stable version, if its route isn't refused."""
        contends_for_route = bool(plan.allocation.weights) and not observation.is_frozen(
            plan.status
        )
        observation = with_first_split(observation, plan)
        return await self.reader.routes.admitted(observation, contends_for_route=contends_for_route)


def decision_of(plan: Plan) -> str:
    """Return the decision type of a step; empty without an evaluation."""
    return "" if plan.evaluation is None else type(plan.evaluation.decision).__name__

"""One idempotent reconcile of one product: observe, step, write what differs, report.

Status is written before what it leads to: a trigger before its Job, a weight before the route.
So whoever comes after a crash knows what was meant, and does nothing twice. Only the first
version is an exception: nothing has to be remembered of it, and a write is saved.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sluicegate.api import names
from sluicegate.api.base import at
from sluicegate.api.canary import VersionBase
from sluicegate.api.context import check_context, runtime_image
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.product import DataProduct, read_status
from sluicegate.api.status import DataProductStatus
from sluicegate.errors import Problem
from sluicegate.kube.errors import Unapplicable
from sluicegate.kube.resources import DATA_PRODUCTS, HTTP_ROUTES, Key
from sluicegate.manifests.plan import spec_version
from sluicegate.policy.terms import Terms, terms_of
from sluicegate.reconcile.apply import Applier, NameConflict
from sluicegate.reconcile.carrying import Told
from sluicegate.reconcile.children import Child, build_children
from sluicegate.reconcile.in_step import InStep
from sluicegate.reconcile.jobs import Trainer
from sluicegate.reconcile.measure import Measurements, target_of
from sluicegate.reconcile.next_look import next_look
from sluicegate.reconcile.observe import Observer
from sluicegate.reconcile.portfolio import Standings
from sluicegate.reconcile.product_figures import REFUSED, figures_of
from sluicegate.reconcile.product_metrics import ProductMetrics
from sluicegate.reconcile.product_record import ProductRecord
from sluicegate.reconcile.report import due, report, verified_seconds
from sluicegate.reconcile.restore import restored_status, was_there_before, with_requests_handled
from sluicegate.reconcile.routes import Claims
from sluicegate.reconcile.situation import Situation
from sluicegate.reconcile.standing import standing_before, standing_of
from sluicegate.reconcile.starts import FirstStarts
from sluicegate.reconcile.step import Step, take_step
from sluicegate.reconcile.traffic import with_first_split
from sluicegate.reconcile.versions import version_reused
from sluicegate.reconcile.warming import only_warms_up
from sluicegate.runtime.contracts import Done, InvalidSpec, Priority, Result
from sluicegate.runtime.recorder import Note, Recorder, Subject
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.settings import Settings
from sluicegate.spans import Spans, no_spans
from sluicegate.status import Finding, report_conditions

logger = logging.getLogger(__name__)

READ_AT_ONCE: Final = 100
"""Products whose status is read in one turn of the event loop: some milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductReconciler:
    """Reconciles DataProducts."""

    settings: Settings
    applier: Applier
    observer: Observer
    trainer: Trainer
    measurements: Measurements
    standings: Standings
    claims: Claims
    in_step: InStep
    recorder: Recorder
    queue: WorkQueue
    metrics: ProductMetrics = field(default_factory=ProductMetrics)
    spans: Spans = no_spans
    starts: FirstStarts = field(default_factory=FirstStarts)
    lost: set[Key] = field(default_factory=set)
    """Those of them that once had one, of which nothing is left."""
    conflicts: dict[Key, str] = field(default_factory=dict)
    """Products one of whose names is a stranger's."""

    async def begin(self) -> None:
        """Know who trains and who is bad before anybody may train, as this replica begins to lead.

        A budget counts those that began before, and so does a common cause. What was known of a
        time in which this replica led before may be weeks old.
        """
        products, known = self.applier.caches.products, {}
        for number, key in enumerate(tuple(products)):
            if number % READ_AT_ONCE == 0:
                await asyncio.sleep(0)  # each is unpacked; meanwhile others have their turn
            record = products.get(key)
            if isinstance(record, ProductRecord):
                self.claims.record(record)
                known[key] = standing_before(record)
        self.standings.renew(known)

    async def reconcile(self, key: Key) -> Result:
        """Bring one product a step nearer to its spec."""
        record = self.applier.caches.products.get(key)
        if not isinstance(record, ProductRecord) or record.deleting:
            self._forget(key)
            return Done()
        try:
            product = record.parse()
        except InvalidProduct as error:
            return await self._refuse(record, error.problems)
        if problems := check_context(product.spec, self.settings):
            return await self._refuse(record, problems)
        return await self._reconcile(record, product)

    def _terms(self, product: DataProduct) -> Terms:
        return terms_of(product, self.settings.hour_seconds)

    async def _reconcile(self, record: ProductRecord, product: DataProduct) -> Result:
        now = int(time.time())
        wanted = spec_version(product, runtime_image(product.spec, self.settings))
        recorded = product.status
        product = self._with_known_status(record, product, wanted, now)
        self.measurements.want(record.key, target_of(product, self.measurements.timing))
        self._claim(record)
        with self.spans("observe"):
            situation = await self.observer.observe(
                record, product, terms=self._terms(product), wanted=wanted, now=now
            )
            situation = replace(
                await self._with_obstacles(record, situation),
                begun=self.starts.begin(product, now),
                lost=record.key in self.lost,
            )
        with self.spans("decide") as span:
            step = take_step(situation)
            situation = with_first_split(situation, step)
            basis = self.in_step.basis(record, recorded, situation, step)
            children = None
            if record.key in self.conflicts or not self.in_step.holds(record.key, basis):
                children = build_children(
                    product, step.layout, situation.live, service_kind=self.settings.service_kind
                )
            span.set("sluicegate.decision", decision_of(step))
        # Before anything is waited for: whoever is judged meanwhile must see the slot as taken.
        self._stand(record.key, product, step, situation)
        written = record
        untold = self.starts.can_wait(situation, step)
        if untold:
            self._show(record.key, product, step, step.status)
        else:
            with self.spans("report"):
                written = await self._write_status(record, situation, step, recorded)
            self.starts.end(record.key, step)
            self._tell(record, step.told)
        with self.spans("apply"):
            await self._write_children(written, situation, step, children)
            # Only a look that changed nothing has seen all in step.
            same = self.in_step.basis(written, recorded, situation, step) == basis
            if same and record.key not in self.conflicts:
                self.in_step.record(record.key, basis)
        after = product.model_copy(update={"status": step.status})
        result = next_look(situation, step, conflicted=record.key in self.conflicts, untold=untold)
        self.measurements.want(
            record.key,
            target_of(after, self.measurements.timing),
            warms_up=isinstance(result, Done) and only_warms_up(situation, step),
        )
        return result

    # ---- before -----------------------------------------------------------------------------
    def _forget(self, key: Key) -> None:
        self.starts.forget(key)
        self.lost.discard(key)
        self.conflicts.pop(key, None)
        self.in_step.forget(key)
        rivals = self.claims.rivals(key)
        self.claims.forget(key)
        if self.standings.forget(key):
            self._call_next(int(time.time()))
        self.observer.pods.forget(key)
        self.metrics.forget(key)
        self.measurements.want(key, None)
        for rival in rivals:
            self.queue.add(rival, Priority.NORMAL)

    def _claim(self, record: ProductRecord) -> None:
        before = self.claims.rivals(record.key)
        self.claims.record(record)
        for rival in before ^ self.claims.rivals(record.key):
            self.queue.add(rival, Priority.NORMAL)

    def _with_known_status(
        self, record: ProductRecord, product: DataProduct, wanted: VersionBase, now: int
    ) -> DataProduct:
        """The product with its status; rebuilt from its Deployments if it was lost."""
        if product.status.stable is not None:
            self.lost.discard(record.key)
            return product
        if record.key in self.lost:
            return with_requests_handled(product)
        if record.key in self.starts:
            return product
        live, route = self.observer.live(record), self.observer.route(record)
        restored = restored_status(product, wanted, live, route, now=now)
        if restored is not None:
            text = "status was empty; rebuilt from the Deployments"
            self._tell(record, (Told("StateRestored", "Restore", text),))
            return product.model_copy(update={"status": restored})
        if not was_there_before(product.status, self.observer.kinds(record)):
            return product
        self.lost.add(record.key)
        text = (
            "neither status nor a Deployment tells which version was accepted: spec.model becomes"
            " stable, and no baseline is claimed for it"
        )
        self._tell(record, (Told("StateLost", "Restore", text, warning=True),))
        return with_requests_handled(product)

    async def _with_obstacles(self, record: ProductRecord, situation: Situation) -> Situation:
        """What keeps the spec from being carried out, though each field is right."""
        situation = replace(situation, conflict=self.conflicts.get(record.key, ""))
        if (elder := self.claims.elder(record.key)) is not None:
            other, claim = elder
            text = (
                f"spec.route: DataProduct {other} is older and claims {claim[1]}{claim[3]} on"
                f" Gateway {claim[0]} too: change hostnames or path of one of them"
            )
            situation = replace(situation, conflict=text, route_conflict=True)
        if (reused := version_reused(situation.product.status, situation.wanted)) is not None:
            observed = replace(situation.observed, wanted=None)
            situation = replace(situation, stalled=reused, observed=observed)
        retraining = situation.product.status.retraining
        if retraining is not None and retraining.trigger is not None:
            forbidden = await self.trainer.forbidden(situation)
            return replace(situation, stalled=forbidden or situation.stalled)
        return situation

    # ---- writing ----------------------------------------------------------------------------
    async def _write_children(
        self,
        record: ProductRecord,
        situation: Situation,
        step: Step,
        children: tuple[Child, ...] | None,
    ) -> None:
        """Write what differs; no children are given of whom all are known to be in step."""
        if children is not None and not situation.is_frozen(step.status):
            try:
                await self._keep_children(record, situation, children)
            except NameConflict as error:
                self.conflicts[record.key] = str(error)
                conflicted = replace(situation, conflict=str(error), route_conflict=False)
                recorded = read_status(record.status)  # it may just have been written
                await self._write_status(record, conflicted, step, recorded)
                return
            if self.conflicts.pop(record.key, None) is not None:
                self.queue.add(record.key, Priority.NORMAL)
        if situation.may_train(step.status):
            await self.trainer.keep(record, situation, step.status)

    async def _keep_children(
        self, record: ProductRecord, situation: Situation, children: tuple[Child, ...]
    ) -> None:
        """Apply the children and delete the others; a route in conflict stays as it is."""
        if situation.route_conflict:
            children = tuple(one for one in children if one.resource != HTTP_ROUTES)
        await self.applier.apply(record, children)
        for resource, leftover in tuple(self.applier.leftovers(record, children)):
            if resource != HTTP_ROUTES or not situation.route_conflict:
                await self.applier.delete(resource, leftover)

    async def _write_status(
        self, record: ProductRecord, situation: Situation, step: Step, recorded: DataProductStatus
    ) -> ProductRecord:
        """Report, if there is something new; return the product as it then is.

        `recorded` is the status of the record; what the step began with may have been restored.
        """
        before = situation.product.status
        after = report(situation, step)
        self._show(record.key, situation.product, step, after)
        fresh = due(
            before,
            after,
            now=at(situation.now),
            refresh_seconds=self.settings.numbers_refresh_seconds,
            verified_seconds=verified_seconds(situation),
        )
        return record if fresh == recorded else await self._send(record, fresh)

    async def _send(self, record: ProductRecord, status: DataProductStatus) -> ProductRecord:
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": record.key.name, "namespace": record.key.namespace},
            "status": status.to_dict(),
        }
        caches = self.applier.caches
        answer = await self.applier.api.apply_status(
            DATA_PRODUCTS, body, resource_version=str(record.version)
        )
        caches.written(DATA_PRODUCTS, answer)
        written = caches.products.get(record.key)
        return written if isinstance(written, ProductRecord) else record

    async def _refuse(self, record: ProductRecord, problems: Iterable[Problem]) -> Result:
        """Say what is wrong with the spec, and touch nothing."""
        before = read_status(record.status)
        listed = tuple(str(problem)[:1024] for problem in problems)
        finding = Finding(
            ConditionType.STALLED, "True", ConditionReason.INVALID_SPEC, "; ".join(listed)
        )
        conditions = report_conditions(
            before.conditions, [finding], generation=record.generation, now=at(int(time.time()))
        )
        after = before.model_copy(
            update={
                "observed_generation": record.generation,
                "problems": listed[:64],
                "conditions": conditions,
            }
        )
        self.metrics.record(record.key, REFUSED)
        if after != before:
            with contextlib.suppress(Unapplicable):  # then an event has to do
                await self._send(record, after)
            self._tell(record, (Told("InvalidSpec", "Validate", "; ".join(listed), warning=True),))
        raise InvalidSpec("; ".join(listed))

    # ---- after ------------------------------------------------------------------------------
    def _stand(self, key: Key, product: DataProduct, step: Step, situation: Situation) -> None:
        """Let the others know how this product does."""
        before, block = self.standings.dependency(key), situation.observed.block
        standing = standing_of(product, step, block=block, now=situation.now)
        if self.standings.record(key, standing):
            self._call_next(situation.now)
        if self.standings.dependency(key) is not before:
            for dependent in self.standings.dependents(key):
                self.queue.add(dependent, Priority.NORMAL)

    def _call_next(self, now: int) -> None:
        """A slot is free: let those look who wait for it, as their next block may be long off."""
        for waiting in self.standings.next_in_line(now):
            self.queue.add(waiting, Priority.NORMAL)

    def _show(self, key: Key, product: DataProduct, step: Step, status: DataProductStatus) -> None:
        """Let the metrics know how the product does."""
        reason = step.evaluation.decision.reason if step.evaluation else None
        self.metrics.record(key, figures_of(product, status, reason))

    def _tell(self, record: ProductRecord, told: Iterable[Told]) -> None:
        subject = Subject(DATA_PRODUCTS, record.key, record.uid)
        for one in told:
            severity: Any = "Warning" if one.warning else "Normal"
            if not one.quiet:
                self.recorder.record(Note(subject, one.reason, one.action, one.message, severity))
            logger.info("%s: %s", one.reason, one.message)


def decision_of(step: Step) -> str:
    """The decision of a step in one word; empty when nothing was judged."""
    return "" if step.evaluation is None else type(step.evaluation.decision).__name__

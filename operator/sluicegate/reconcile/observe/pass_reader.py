"""Reads the input of one pass: the product, and this process's state of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sluicegate.kube.client import KubeApi
from sluicegate.kube.resources import Key
from sluicegate.policy.model.terms import terms_of
from sluicegate.reconcile.fleet.operator_overlap import OperatorOverlaps
from sluicegate.reconcile.fleet.slot_reservation import JobRefusal, training_job_key
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.effective_spec import EffectiveSpec, SpecReader
from sluicegate.reconcile.observe.first_starts import FirstStarts
from sluicegate.reconcile.observe.invalid_spec import with_problems, with_reused_version
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.observe.observer import Observer
from sluicegate.reconcile.observe.refused_route import RouteArbiter, with_shadowed_route
from sluicegate.reconcile.observe.training_account import account_problem
from sluicegate.reconcile.observe.write_obstacle import WriteObstacle, with_obstacle


@dataclass(frozen=True, slots=True)
class PassReader:
    """Reads the observation of a pass.

    Attributes
    ----------
    obstacles : to the writes of children, by product, of earlier passes.
    """

    api: KubeApi
    specs: SpecReader
    observer: Observer
    routes: RouteArbiter
    first_starts: FirstStarts
    overlaps: OperatorOverlaps
    obstacles: Mapping[Key, WriteObstacle]

    async def observe(
        self, record: ProductRecord, effective_spec: EffectiveSpec, *, now: int, status_lost: bool
    ) -> Observation:
        """Return the observation of a product for a pass.

        Parameters
        ----------
        effective_spec : as the pass carries it out, with its status, or one that was rebuilt.
        now : in seconds. lost : it once had a stable version, whose status and Deployment are missing.
        """
        key, product = record.key, effective_spec.product
        # Before anything is read: a new product's past may be there by the end of the pass.
        self.observer.measurements.follow(product, now)
        contends_for_route = product.status.stable is not None and not product.spec.suspend
        refusal = await self.routes.refusal(key, contends_for_route=contends_for_route, now=now)
        kept_route = None if refusal is None else self.routes.with_live_route(record, product, now)
        observation = await self.observer.observe(
            record,
            kept_route or product,
            terms=terms_of(product, self.specs.settings.hour_seconds),
            desired=effective_spec.desired,
            now=now,
        )
        observation = with_reused_version(with_obstacle(observation, self.obstacles.get(key)))
        observation = await self._with_permission(record, observation)
        observation = replace(
            observation,
            route_kept=kept_route is not None,
            first_start=self.first_starts.start_of(product, now),
            quiet_seconds=self.first_starts.quiet_seconds(product),
            lost=status_lost,
            overlap=self.overlaps.message(key, now=now),
        )
        if refusal is not None and observation.route is None:
            # Without a route there is no split to wait for: a rollback is complete.
            observation = replace(observation, split=None)
        return with_problems(with_shadowed_route(observation, refusal), effective_spec.problems)

    async def _with_permission(
        self, record: ProductRecord, observation: Observation
    ) -> Observation:
        """Return the observation with the reason why a training without a Job may not use its service account."""
        product = observation.product
        desired = training_job_key(record.key, product.status)
        if desired is None or observation.job is not None:
            return observation
        finding = await account_problem(self.api, product)
        if finding is not None:
            self.observer.refusals[record.key] = JobRefusal(desired.name, finding.message)
        # Others may have been given a slot meanwhile.
        block, now = observation.observed.block, observation.now
        portfolio = self.observer.portfolio(record, product, block, now)
        return replace(
            observation,
            stalled=finding or observation.stalled,
            observed=replace(observation.observed, portfolio=portfolio),
        )

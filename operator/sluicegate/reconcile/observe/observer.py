"""Reads everything that one step needs, once: from caches, and pods where something is wrong."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from sluicegate.api import names
from sluicegate.api.model import counts_of
from sluicegate.api.names import ConditionReason, ConditionType, DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DependencyState, DependencyStatus
from sluicegate.api.versions import VersionBase
from sluicegate.conditions import Finding, find_condition
from sluicegate.kube.resources import DEPLOYMENTS, HTTP_ROUTES, JOBS, SERVICES, Key
from sluicegate.manifests.names import draw_route_name
from sluicegate.measurement.product_view import ProductBlocks
from sluicegate.measurement.store import Measurements
from sluicegate.policy.model.api_changes import added, changes, deprecated
from sluicegate.policy.model.container_limits import at_limit, is_node_busy
from sluicegate.policy.model.inputs import Surroundings, observed
from sluicegate.policy.model.observed import (
    DegradedConsumer,
    Facts,
    InputReading,
    Portfolio,
    TrainingFailed,
    TrainingResult,
    UpstreamRelease,
)
from sluicegate.policy.model.pending_requests import is_pending
from sluicegate.policy.model.terms import Terms
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.slot_reservation import (
    JobRefusal,
    is_overdue,
    runs,
    shadow_job_key,
    takes_slot,
    training_job_key,
)
from sluicegate.reconcile.live.children import (
    ChildRecord,
    DeploymentRecord,
    JobRecord,
    RouteRecord,
    ServiceRecord,
)
from sluicegate.reconcile.live.failure_attribution import is_down, lacks_pods, traffic_failure
from sluicegate.reconcile.live.pods import (
    PodState,
    api_of,
    iteration_of,
    job_exit,
    pods_of_revision,
)
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.approval_answers import absent_consumers, answers_of
from sluicegate.reconcile.observe.attendance import Attendance
from sluicegate.reconcile.observe.consumer_readings import consumer_readings, read_product
from sluicegate.reconcile.observe.gateway_reader import Gateways
from sluicegate.reconcile.observe.observation import Observation, lacks_labels
from sluicegate.reconcile.observe.one_sided_evidence import one_sided_evidence
from sluicegate.reconcile.observe.pod_reader import PodReads
from sluicegate.reconcile.observe.shadow_result import needs_scoring_slot, shadow_of
from sluicegate.reconcile.observe.traffic_split import LiveRoutes, split_of
from sluicegate.reconcile.observe.training_result import training_result
from sluicegate.reconcile.traffic.split_verification import Split
from sluicegate.runtime.cache import Caches
from sluicegate.views.numbers import duration

AFTERMATH_BLOCKS: Final = 12
"""Blocks after an upstream's recovery in which it still explains what is bad: those that are
judged as the present."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Reads the observation of one product at a time."""

    pods: PodReads
    caches: Caches
    measurements: Measurements
    fleet: FleetRegistry
    gateways: Gateways
    attendance: Attendance
    share_states: bool
    refusals: MutableMapping[Key, JobRefusal] = field(default_factory=dict)
    max_training_seconds: int = 604_800
    previews: bool = False
    reviews: Callable[[DataProduct], tuple[Finding, ...]] = lambda _: ()

    async def observe(
        self,
        record: ProductRecord,
        product: DataProduct,
        *,
        terms: Terms,
        desired: VersionBase,
        now: int,
    ) -> Observation:
        """Return the observation of a product whose spec is valid.

        Parameters
        ----------
        record : as it is cached. product : the same, parsed.
        terms : of its judgement. desired : the version of spec.model. now : in seconds.
        """
        live, route = self.live(record), self.route(record)
        changed = 0 if route is None else route.changed_by(now)
        blocks = ProductBlocks(self.measurements, product, changed)
        jobs = self.jobs(record)
        job = next(
            (
                job_record
                for job_record in jobs
                if job_record.key == training_job_key(record.key, product.status)
            ),
            None,
        )
        scoring_key = shadow_job_key(record.key, product.status)
        shadow = next((job_record for job_record in jobs if job_record.key == scoring_key), None)
        refusal = self._refusal(record.key, job=training_job_key(record.key, product.status))
        shadow_refusal = self._refusal(record.key, job=scoring_key)
        without_labels = lacks_labels(product.spec, product.status)
        awaited_jobs = [job_record for job_record in (job, shadow) if job_record is not None]
        pods = await self.pods.pods_of(
            record, product.status, live, awaited_jobs, now=now, unlabelled=without_labels
        )
        requests = blocks.requests()
        gateways = await self.gateways.of(product, route, silent=blocks.is_silent(), now=now)
        routes = LiveRoutes(route, self.draw_route(record), gateways)
        split = split_of(blocks, routes, requests, now=now)
        since = now - AFTERMATH_BLOCKS * product.spec.analysis.block_seconds
        dependencies = tuple(self._dependencies(record.key, product))
        upstream = tuple(self._upstream(product, dependencies, since))
        degrading = self.fleet.degrading(self._calls(product, dependencies))
        consumers = self._consumers(record.key, product)
        observation = Observation(
            product=product,
            terms=terms,
            desired=desired,
            now=now,
            live=live,
            route=route,
            selected=self.selected(record),
            pods=pods,
            split=split,
            requests=requests,
            observed=observed(
                blocks.measured(now),
                Surroundings(
                    desired=desired.release,
                    withheld="",
                    desired_evaluation=counts_of(product.spec.model.evaluation),
                    training=None,
                    shadow=None,
                    facts=_facts(
                        blocks,
                        live,
                        pods,
                        upstream_degraded=tuple(dependency.name for dependency in upstream),
                        upstream_since=self.fleet.bad_since(upstream),
                        upstream_degrading=degrading,
                        upstream_releases=tuple(self._releases(record.key, dependencies)),
                        degraded_consumers=tuple(self._degraded_consumers(record.key)),
                        split=split,
                        since=since,
                        now=now,
                    ),
                    portfolio=self.portfolio(record, product, blocks.newest, now),
                    requests=record.manual_requests,
                    answers=tuple(answers_of(record, product, consumers, self.caches)),
                    consumers=tuple(map(str, consumers)),
                    absent_consumers=tuple(absent_consumers(product, self.caches)),
                    consumer_readings=tuple(
                        consumer_readings(
                            blocks, self.caches, partial(self._may_read, record.key), now
                        )
                    ),
                    rollout=None,
                    absences=self.attendance.absences(),
                    term=self.attendance.term,
                ),
            ),
            dependencies=dependencies,
            dependents=bool(self.fleet.graph.dependents(record.key)),
            degrades={
                other_key: _owner_of(other_key, self.caches)
                for other_key in self.fleet.degraded_by(record.key)
                if self._may_read(record.key, other_key)
            },
            one_sided=tuple(
                one_sided_evidence(product, self.caches, partial(self._may_read, record.key))
            ),
            gateways=gateways,
            job=job,
            job_runs=any(runs(job_record, now, self.max_training_seconds) for job_record in jobs),
            has_slot=any(
                takes_slot(job_record, now, self.max_training_seconds) for job_record in jobs
            ),
            refusal=refusal.message if refusal else "",
            max_training_seconds=self.max_training_seconds,
            previews=self.previews,
            reviews=self.reviews(product),
            shadow_job=shadow,
            shadow_refusal=shadow_refusal.message if shadow_refusal else "",
            term=self.attendance.term,
        )
        results = replace(
            observation.observed,
            training=_training(observation, refusal),
            shadow=shadow_of(observation, shadow_refusal),
        )
        return replace(observation, observed=results)

    def portfolio(
        self, record: ProductRecord, product: DataProduct, block: int, now: int
    ) -> Portfolio:
        """Return the facts about other products for this product's decision at `now`, in seconds."""
        training = product.status.training
        waits_for_training = training is not None and not training.trains_challenger
        is_requested = any(
            is_pending(product.status, request) for request in record.manual_requests
        )
        portfolio = self.fleet.portfolio(
            record.key,
            now,
            block_end=block * product.spec.analysis.block_seconds,
            needs_slot=waits_for_training or is_requested or needs_scoring_slot(product, now),
        )
        return replace(portfolio, slot=True) if product.queue else portfolio

    # ---- the cluster ------------------------------------------------------------------------
    def live(self, record: ProductRecord) -> dict[str, DeploymentRecord]:
        """Return the product's Deployments by revision."""
        return {
            child.label(names.LABEL_REVISION): child
            for child in self.caches[DEPLOYMENTS].children(record.key)
            if isinstance(child, DeploymentRecord) and child.owner == record.uid
        }

    def services(self, record: ProductRecord) -> dict[str, ServiceRecord]:
        """Return the Services of the product's versions by revision."""
        return {
            child.label(names.LABEL_REVISION): child
            for child in self.caches[SERVICES].children(record.key)
            if isinstance(child, ServiceRecord) and child.owner == record.uid
        }

    def selected(self, record: ProductRecord) -> str | None:
        """Return the revision in the selector of the product's own Service: empty for all, None without the Service."""
        service = self.caches[SERVICES].get(record.key)
        if not isinstance(service, ServiceRecord) or service.owner != record.uid:
            return None
        return service.revision

    def kinds(self, record: ProductRecord) -> set[str]:
        """Return the kinds of the product's children."""
        return {
            cache.watched.resource.kind
            for cache in self.caches
            if cache is not self.caches.products
            for child in cache.children(record.key)
            if isinstance(child, ChildRecord) and child.owner == record.uid
        }

    def route(self, record: ProductRecord) -> RouteRecord | None:
        """Return the product's own HTTPRoute."""
        return self._own_route(record, record.key)

    def draw_route(self, record: ProductRecord) -> RouteRecord | None:
        """Return the product's HTTPRoute of consumers' draws."""
        return self._own_route(record, Key(record.key[0], draw_route_name(record.key[1])))

    def _own_route(self, record: ProductRecord, key: Key) -> RouteRecord | None:
        route = self.caches[HTTP_ROUTES].get(key)
        return route if isinstance(route, RouteRecord) and route.owner == record.uid else None

    def jobs(self, record: ProductRecord) -> tuple[JobRecord, ...]:
        """Return the product's training Jobs, including those with an unneeded result."""
        job_records = self.caches[JOBS].children(record.key)
        return tuple(
            job_record
            for job_record in job_records
            if isinstance(job_record, JobRecord) and job_record.owner == record.uid
        )

    def _refusal(self, key: Key, *, job: Key | None) -> JobRefusal | None:
        """Return why the creation of a desired Job failed, if it was tried."""
        refusal = self.refusals.get(key)
        return refusal if refusal and job and refusal.job == job.name else None

    def _dependencies(self, key: Key, product: DataProduct) -> Iterator[DependencyStatus]:
        dependencies = tuple(
            Key(dependency.namespace or key.namespace, dependency.name)
            for dependency in product.spec.depends_on
        )
        self.fleet.graph.replace(key, dependencies)
        for other_key in dependencies:
            is_visible = self._may_read(key, other_key)
            state = self.fleet.dependency(other_key) if is_visible else DependencyState.UNKNOWN
            yield DependencyStatus(
                namespace=other_key.namespace,
                name=other_key.name,
                state=state,
                in_cycle=self.fleet.graph.in_cycle(key, other_key),
            )

    def _upstream(
        self, product: DataProduct, dependencies: tuple[DependencyStatus, ...], since: int
    ) -> Iterator[Key]:
        """Yield the dependencies that are degraded, or were in the blocks that are evaluated as present.

        What a product did on a broken upstream's answers says nothing of its model, and it is
        in those blocks for a while after the upstream has recovered.
        """
        for other_key in self._calls(product, dependencies):
            if self.fleet.was_degraded(other_key, since):
                yield other_key

    def _calls(
        self, product: DataProduct, dependencies: tuple[DependencyStatus, ...]
    ) -> Iterator[Key]:
        """Yield the dependencies whose state may explain a degradation."""
        for dependency in dependencies:
            other_key = Key(dependency.namespace, dependency.name)
            is_visible = (
                self._may_read(Key(*product.metadata.key), other_key) and not dependency.in_cycle
            )
            if is_visible:
                yield other_key

    def _releases(
        self, key: Key, dependencies: tuple[DependencyStatus, ...]
    ) -> Iterator[UpstreamRelease]:
        """Yield the releases of dependencies that may have degraded the product."""
        for dependency in dependencies:
            other_key = Key(dependency.namespace, dependency.name)
            if self._may_read(key, other_key):
                yield from self.fleet.releases(other_key)

    def _degraded_consumers(self, key: Key) -> Iterator[DegradedConsumer]:
        for other_key, degraded in self.fleet.degraded_consumers(key):
            if self._may_read(key, other_key):
                yield degraded

    def _consumers(self, key: Key, product: DataProduct) -> tuple[Key, ...]:
        """Return the dependents that may have to agree to the product's candidate."""
        if product.spec.rollout.approvals is None:
            return ()
        dependents = sorted(self.fleet.graph.dependents(key))
        return tuple(other_key for other_key in dependents if self._may_read(key, other_key))

    def _may_read(self, key: Key, other_key: Key) -> bool:
        """Return whether a product may read the state of another product."""
        return self.share_states or other_key.namespace == key.namespace


def _facts(
    blocks: ProductBlocks,
    live: Mapping[str, DeploymentRecord],
    pods: tuple[PodState, ...],
    *,
    upstream_degraded: tuple[str, ...],
    upstream_since: int | None,
    upstream_degrading: Mapping[str, int],
    upstream_releases: tuple[UpstreamRelease, ...],
    degraded_consumers: tuple[DegradedConsumer, ...],
    split: Split | None,
    since: int,
    now: int,
) -> Facts:
    """Return the pods' facts; empty before a version serves.

    Parameters
    ----------
    live : Deployments by revision.
    upstream_degraded : dependencies that are bad; upstream_since : since when, in seconds.
    upstream_degrading : length of a block of dependencies whose state isn't confirmed yet, in seconds.
    upstream_releases : of dependencies. degraded_consumers : by a release of the product.
    split : how far the present share is verified; None without a route. since : when the blocks begin that are judged as the present.
    now : in seconds.
    """
    product = blocks.product
    stable, candidate = product.status.stable, product.status.candidate
    stated = iteration_of(pods, candidate.revision) if candidate is not None else None
    if stable is None:
        return replace(Facts(), iteration=stated)
    serving = live.get(stable.revision)
    stable_pods = pods_of_revision(pods, stable.revision)
    deadline_seconds = product.spec.serving.progress_deadline_seconds
    resources, resource_facts = product.spec.serving.resources, blocks.facts(stable)
    limited_resources = at_limit(resource_facts, resources)
    attribution = None
    if candidate is not None and candidate.weight > 0:
        attribution = traffic_failure(
            live.get(candidate.revision),
            pods_of_revision(pods, candidate.revision),
            serving,
        )
    stable_api = api_of(pods, stable.revision)
    candidate_api = None if candidate is None else api_of(pods, candidate.revision)
    return Facts(
        upstream_degraded=upstream_degraded,
        upstream_since=upstream_since,
        upstream_degrading=tuple(upstream_degrading),
        upstream_block_seconds=max(upstream_degrading.values(), default=0),
        upstream_releases=upstream_releases,
        degraded_consumers=degraded_consumers,
        split_verified=split is None or split.enough,
        route_objection="" if split is None else split.objection,
        pods_unhealthy=lacks_pods(serving, stable_pods, now=now, deadline_seconds=deadline_seconds)
        or any(
            pod.was_killed_since(since)
            or (pod.restarts is not None and pod.restarts.is_ongoing(now))
            for pod in stable_pods
        ),
        stable_down=is_down(serving, stable_pods, now=now, deadline_seconds=deadline_seconds),
        canary_unhealthy=attribution is not None and attribution.own,
        canary_lost=attribution.message if attribution is not None and not attribution.own else "",
        node_busy=is_node_busy(resource_facts, resources),
        canary_node_busy=candidate is not None
        and is_node_busy(blocks.canary_facts(candidate), resources),
        cpu_throttled=limited_resources.cpu,
        memory_pressure=limited_resources.memory,
        outage=blocks.outage_words(),
        secret_missing=resource_facts is not None and resource_facts.secretless > 0,
        inputs=()
        if resource_facts is None
        else tuple(_inputs(product, dict(resource_facts.inputs))),
        pods=(serving.ready if serving else 0) / product.spec.serving.base_replicas,
        api_changes=changes(stable_api, candidate_api),
        api_added=added(stable_api, candidate_api),
        api_deprecated=deprecated(stable_api, candidate_api),
        iteration=stated,
        stable_iteration=iteration_of(pods, stable.revision),
        complete=True,
    )


def _inputs(product: DataProduct, values: Mapping[str, float]) -> Iterator[InputReading]:
    """Yield the reading of each input of the product, by name."""
    for data_input in product.spec.inputs:
        value = values.get(data_input.name)
        yield InputReading(
            data_input.name, data_input.contract or "", data_input.freshness_seconds, value
        )


def _owner_of(key: Key, caches: Caches) -> str:
    """Return the owner of another product; empty if its spec can't be read."""
    product = read_product(key, caches)
    return "" if product is None else product.spec.owner


def _training(observation: Observation, refusal: JobRefusal | None) -> TrainingResult | None:
    """Return the training's result once its Job has ended or can't be created."""
    status = observation.product.status
    running = status.training
    job, retraining = observation.job, observation.product.spec.retraining
    if running is None or retraining is None:
        return None
    allowed = duration(observation.training_seconds)
    if job is not None and job.finished:
        training_exit = job_exit(observation.pods, job.uid)
        slos = tuple(slo.name for slo in observation.product.spec.slos)
        result = training_result(
            job, training_exit, running.id, status.parent, output=retraining.output, slos=slos
        )
        return _unless_lost(observation, result, has_run=training_exit.exit_code is not None)
    if job is not None:
        text = f"its Job {job.key.name} hasn't ended, though it may take {allowed}"
        failed = TrainingFailed(running.id, DecisionReason.TIMED_OUT, text)
        max_seconds = observation.max_training_seconds
        return failed if is_overdue(job, observation.now, max_seconds) else None
    if refusal is None:
        return None
    if refusal.final:
        return TrainingFailed(running.id, DecisionReason.JOB_REFUSED, refusal.message)
    text = f"its Job couldn't be created within {allowed}: {refusal.message}"
    failed = TrainingFailed(running.id, DecisionReason.TIMED_OUT, text, lost=True)
    late = observation.now >= running.trigger_time + observation.training_seconds
    return failed if late else None


def _unless_lost(
    observation: Observation, result: TrainingResult, *, has_run: bool
) -> TrainingResult:
    """Return the result; a cluster fault if the Job's container never ran.

    At its deadline a Job deletes its pods, so what it waited for is known from status alone.
    """
    if has_run or not isinstance(result, TrainingFailed) or observation.job is None:
        return result
    own_pods = [pod for pod in observation.pods if pod.job_uid == observation.job.uid]
    active = find_condition(observation.product.status.conditions, ConditionType.RETRAINING_ACTIVE)
    was_pending = active is not None and active.reason == ConditionReason.JOB_PENDING
    if not (was_pending and not own_pods) and not any(pod.outside for pod in own_pods):
        return result
    pod_problem = (
        active.message
        if was_pending and active
        else next(pod.problem for pod in own_pods if pod.outside)
    )
    return TrainingFailed(
        result.trigger,
        DecisionReason.INFRASTRUCTURE,
        f"{result.message} ({pod_problem})",
        lost=True,
    )

"""Construction of the reconciler, and the kinds that it watches, for the manager."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import HTTP_ROUTES, Key
from sluicegate.manager import Controller, Program, Tools
from sluicegate.measurement.scheduler import BlockScheduler
from sluicegate.measurement.store import Measurements
from sluicegate.policy.retraining.training_slots import Budget
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.retention import keep_checking_retention
from sluicegate.prometheus.source import NoSource, Source
from sluicegate.prometheus.timing import Timing
from sluicegate.reconcile.apply.applier import Applier
from sluicegate.reconcile.apply.child_keeper import ChildKeeper
from sluicegate.reconcile.apply.effects import Effects
from sluicegate.reconcile.apply.in_sync import InSyncCache
from sluicegate.reconcile.apply.slot_release import SlotKeeper
from sluicegate.reconcile.apply.training_jobs import Trainer
from sluicegate.reconcile.decide.planner import Plan, make_plan
from sluicegate.reconcile.fleet.block_lengths import BlockLengths
from sluicegate.reconcile.fleet.operator_overlap import OperatorOverlaps, written_by
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.live.children import watched
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.attendance import Attendance
from sluicegate.reconcile.observe.effective_spec import SpecReader
from sluicegate.reconcile.observe.first_starts import FirstStarts
from sluicegate.reconcile.observe.gateway_reader import Gateways
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.observe.observer import Observer
from sluicegate.reconcile.observe.pass_reader import PassReader
from sluicegate.reconcile.observe.pod_reader import PodReads
from sluicegate.reconcile.observe.refused_route import RouteArbiter
from sluicegate.reconcile.observe.standby import Standby
from sluicegate.reconcile.observe.term_start import TermStart
from sluicegate.reconcile.reconciler import ProductReconciler
from sluicegate.reconcile.report.product_metrics import ProductMetrics
from sluicegate.reconcile.report.reporter import Reporter
from sluicegate.reconcile.report.status_store import StatusStore
from sluicegate.reconcile.report.status_writer import StatusWriter
from sluicegate.reconcile.routes.arbitration import Claims
from sluicegate.reviews.day_reader import DayReader
from sluicegate.reviews.events import emit_misconfigured, emit_state
from sluicegate.reviews.events import export_overview as export_reviews
from sluicegate.reviews.schedule import ReviewedReconciler, Reviews
from sluicegate.reviews.store import ReviewStore
from sluicegate.runtime.interfaces import QueuePriority, Work
from sluicegate.runtime.metrics import EVALUATION_LATENESS
from sluicegate.settings import GatewayMetrics, Settings
from sluicegate.slo.gateway import TRAEFIK_METRIC
from sluicegate.spans import Spans

GATEWAYS: Final = {GatewayMetrics.NONE: None, GatewayMetrics.TRAEFIK: TRAEFIK_METRIC}
"""Counters for each setting."""

Planner = Callable[[Observation], Plan]
Connect = Callable[[Endpoint, Spans], Prometheus]
"""A function that opens the connection to Prometheus."""


def build(
    tools: Tools,
    connect: Connect = Prometheus,
    plan: Planner = make_plan,
) -> Controller:
    """Construct the reconciler from the runtime's tools, the connection to Prometheus, and the planner."""
    measurements = Measurements(timing_of(tools.settings))
    reviews = _reviews(tools)
    reconciler = _reconciler(tools, measurements, reviews, plan)
    writer, wall = reconciler.reporter.writer, tools.clocks.wall

    def product_of(key: Key) -> DataProduct | None:
        record = reconciler.record_of(key)
        return None if record is None else record.parse()

    def before_scrape() -> None:
        now = wall()
        export_reviews(reviews.overview, tools.settings.product_metrics)
        writer.metrics.export(now)
        writer.store.overlaps.export(now)
        EVALUATION_LATENESS.set(measurements.block_lateness.lateness(now))

    measuring: dict[str, Work] = {
        "measuring": partial(_measure, tools, measurements, connect),
        "standby": Standby(tools.caches.products, measurements, tools.leads, wall).run,
    }
    if tools.settings.prometheus_url:
        measuring["retention"] = partial(_check_retention, tools, measurements, connect)
    return Controller(
        reconciler=ReviewedReconciler(reconciler, reviews, product_of, measurements.timing),
        begin=TermStart(reconciler.reader).begin_term,
        always=measuring,
        leading={
            "product metrics": writer.metrics.publish,
            "reviews": partial(_review, tools, reviews, measurements.timing, connect),
        },
        before_scrape=before_scrape,
    )


def _reconciler(
    tools: Tools, measurements: Measurements, reviews: Reviews, plan: Planner
) -> ProductReconciler:
    """Make the reconciler of products."""
    settings, clocks, caches = tools.settings, tools.clocks, tools.caches

    def record_of(key: Key) -> ProductRecord | None:
        record = caches.products.get(key)
        if not isinstance(record, ProductRecord) or record.deleting:
            return None
        return record

    def wake(key: Key) -> None:
        tools.queue.add(key, QueuePriority.NORMAL)

    budget = Budget(settings.max_concurrent_retrainings, settings.max_retrainings_per_namespace)
    fleet = FleetRegistry(budget, wake)
    applier = Applier(tools.api, caches, settings.tenant_account)
    trainer = Trainer(applier, settings)
    observer = Observer(
        PodReads(tools.api, settings.show_log_tails),
        caches,
        measurements,
        fleet,
        Gateways(tools.api, clocks.steady),
        Attendance(clocks, tools.left_at),
        share_states=settings.share_dependency_states,
        refusals=trainer.refusals,
        max_training_seconds=settings.max_retraining_seconds,
        previews=settings.previews,
        reviews=reviews.conditions,
    )
    overlaps, lengths = OperatorOverlaps(written_by(settings)), BlockLengths(wake)
    first_starts = FirstStarts()
    routes = RouteArbiter(Claims(wake), observer.gateways, caches[HTTP_ROUTES], observer.route)
    keeper = ChildKeeper(applier, routes.claims)
    slots = SlotKeeper(fleet, trainer, observer, keeper.obstacles, tools.queue, clocks.wall)
    in_sync = InSyncCache(caches)
    writer = StatusWriter(
        StatusStore(tools.api, caches, overlaps),
        tools.recorder,
        ProductMetrics(settings.product_metrics),
        settings.numbers_refresh_seconds,
    )
    reporter = Reporter(writer, fleet, measurements, first_starts, clocks.wall)
    specs, kind = SpecReader(settings, lengths), settings.service_kind
    forgetting = (
        first_starts.forget, overlaps.forget, keeper.forget, in_sync.forget, routes.forget, lengths.forget,
        slots.forget, observer.pods.forget, writer.metrics.forget, partial(measurements.set_target, target=None),
    )  # fmt: skip
    return ProductReconciler(
        record_of=record_of,
        excluded=settings.excluded_namespaces,
        reader=PassReader(
            tools.api, specs, observer, routes, first_starts, overlaps, keeper.obstacles
        ),
        reporter=reporter,
        effects=Effects(
            observer, keeper, trainer, in_sync, kind, settings.random_ids, writer.write, tools.queue
        ),
        interceptors=(reporter.skip_overlap, slots.watch, reporter.refuse_invalid, routes.claim),
        forgetting=forgetting,
        wall=clocks.wall,
        plan=plan,
        spans=tools.spans,
    )


def timing_of(settings: Settings) -> Timing:
    """Return the timing of Prometheus from the settings."""
    return Timing(
        scrape_seconds=settings.scrape_interval_seconds, settle_seconds=settings.settle_seconds
    )


def endpoint_of(settings: Settings, url: str = "") -> Endpoint:
    """Return the endpoint of Prometheus from the settings; `url` is its address as a command reaches it."""
    return Endpoint(
        url=url or settings.prometheus_url,
        ca_file=settings.prometheus_ca_file,
        token_file=settings.prometheus_token_file,
        tenant=settings.prometheus_tenant,
        headers_file=settings.prometheus_headers_file,
        proxy=settings.prometheus_proxy_url,
        timeout_seconds=settings.prometheus_timeout_seconds,
        concurrency=settings.prometheus_concurrency,
    )


def evaluation_settings(settings: Settings, timing: Timing) -> EvaluationSettings:
    """Return the settings of reading blocks from the operator's settings."""
    return EvaluationSettings(
        timing=timing,
        namespaces=settings.watch_namespaces,
        products_per_query=settings.prometheus_products_per_query,
        gateway=GATEWAYS[settings.gateway_metrics],
    )


def _source(tools: Tools, connect: Connect) -> AbstractAsyncContextManager[Source]:
    """Return Prometheus, or a source without measurements if none is configured."""
    if not tools.settings.prometheus_url:
        return nullcontext(NoSource())
    return connect(endpoint_of(tools.settings), tools.spans)


async def _measure(tools: Tools, measurements: Measurements, connect: Connect) -> None:
    async with _source(tools, connect) as answering:
        evaluation = BlockReader(
            answering, evaluation_settings(tools.settings, measurements.timing)
        )
        requeue, wall = tools.queue.add_after, tools.clocks.wall
        await BlockScheduler(measurements, evaluation, requeue, tools.spans, wall_clock=wall).run()


def _reviews(tools: Tools) -> Reviews:
    products = tools.caches.products

    def exists(key: Key, uid: str) -> bool:
        record = products.get(key)
        return record is not None and record.uid == uid

    def report_misconfigured(key: Key, text: str) -> None:
        record = products.get(key)
        emit_misconfigured(tools.recorder, key, record.uid if record else "", text)

    def wall() -> float:
        # A node's clock may be wrong, and a review that is sealed too early remains sealed.
        return tools.api.server_time() or tools.clocks.wall()

    return Reviews(
        ReviewStore(tools.api, archived=tools.settings.reviews_archived),
        wall_clock=wall,
        product_exists=exists,
        emit_state=partial(emit_state, tools.recorder),
        emit_misconfigured=report_misconfigured,
        requeue=lambda key: tools.queue.add(key, QueuePriority.NORMAL),
        namespaces=tools.settings.watch_namespaces,
    )


async def _review(tools: Tools, reviews: Reviews, timing: Timing, connect: Connect) -> None:
    async with _source(tools, connect) as answering:
        namespaces, gateway = (
            tools.settings.watch_namespaces,
            GATEWAYS[tools.settings.gateway_metrics],
        )
        await reviews.run(DayReader(answering, timing, namespaces, gateway))


async def _check_retention(tools: Tools, measurements: Measurements, connect: Connect) -> None:
    def longest_block() -> int:
        return max((target.block_seconds for target in measurements.targets.values()), default=0)

    async with connect(endpoint_of(tools.settings), tools.spans) as prometheus:
        await keep_checking_retention(prometheus, longest_block, tools.clocks.wall)


PROGRAM = Program(watched(), build)

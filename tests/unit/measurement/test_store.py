"""What is read when blocks are complete, what is kept of it, and which products it requeues."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.prometheus_stand_in import Lie
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.slos import Indicator
from sluicegate.api.versions import Probation
from sluicegate.kube.resources import Key
from sluicegate.manifests.names import version_name
from sluicegate.measurement import store
from sluicegate.measurement.canary_blocks import Requests
from sluicegate.measurement.product_view import ProductBlocks as OfOneProduct
from sluicegate.measurement.store import Measurements
from sluicegate.prometheus.block_reader import Length
from sluicegate.prometheus.targets import REQUESTS, Mean, ProductKey, Readings, SeriesKey, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.reconcile.live.children import ParentStatus, RouteRecord
from sluicegate.reconcile.observe.traffic_split import LiveRoutes, split_of
from sluicegate.slo.blocks import Block, BlockValue, Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.gateway import backend_of
from sluicegate.stats.counts import Count
from tests.support.decisions.rollout_world import ACCURACY, BLOCK, document, serving_world
from tests.support.decisions.rollout_world import World as Rollout
from tests.support.prometheus.fetching import cars_and_vans, evaluating
from tests.support.prometheus.measured_world import ProductBlocks, World

NOW = 300 * 12 * 400 + 60.0
AVAILABILITY = Indicator(availability={})
CARS, VANS = Key("catalog", "cars"), Key("catalog", "vans")
AT_REST = Length(300, canary=False)


def target(key: Key, **changes) -> Target:
    settings = {
        "key": ProductKey(*key), "versions": ("v1",), "slos": {"availability": AVAILABILITY},
    }  # fmt: skip
    return Target(**settings | changes)


@pytest.fixture
async def server():
    async with cars_and_vans() as started:
        yield started


@pytest.fixture
async def evaluation(server):
    async with evaluating(server, seconds=20) as started:
        yield started


@pytest.fixture
def measurements():
    made = Measurements(Timing())
    made.set_target(CARS, target(CARS))
    return made


def newest(measurements: Measurements) -> Quality:
    series = measurements.blocks.series(SeriesKey(*CARS, "v1", "availability"), 300)
    return series.block(measurements.newest(300)).quality


async def test_measurements_are_outstanding_until_all_queries_are_answered(
    server, evaluation, measurements
):
    server.lies[""] = Lie.ERROR_503
    await measurements.read(evaluation, NOW)
    assert measurements.awaits_answer(AT_REST)
    assert measurements.problem(300)
    server.lies.clear()
    assert CARS in await measurements.read(evaluation, NOW + 10)
    assert not measurements.awaits_answer(AT_REST)
    assert newest(measurements) is Quality.COUNTED


async def test_a_backfill_unfinished_between_two_blocks_is_outstanding(
    server, evaluation, measurements
):
    await measurements.read(evaluation, NOW)
    measurements.set_target(VANS, target(VANS))
    server.lies[""] = Lie.ERROR_503
    await measurements.read(evaluation, NOW + 10)
    assert measurements.awaits_answer(AT_REST)


async def test_a_product_whose_past_was_read_between_two_blocks_is_requeued(
    evaluation, measurements
):
    await measurements.read(evaluation, NOW)
    measurements.set_target(VANS, target(VANS))
    assert list(await measurements.read(evaluation, NOW + 10)) == [VANS]
    assert measurements.is_filled(VANS)


async def test_a_just_accepted_version_has_no_past_to_read(server, evaluation):
    measurements = Measurements(Timing())
    newest = NOW // 300 * 300
    measurements.set_target(CARS, target(CARS, evidence_from=newest))
    await measurements.read(evaluation, NOW)
    assert measurements.is_filled(CARS)
    asked = [float(form["start"]) for form in server.forms]
    assert asked
    assert min(asked) >= newest - 300, "only what every product is asked about"
    measurements.set_target(VANS, target(VANS, evidence_from=newest - 300))
    await measurements.read(evaluation, NOW + 10)
    assert min(float(form["start"]) for form in server.forms) < newest - 3000


async def test_a_product_in_warm_up_is_requeued_before_its_first_block_only_if_a_read_fails(
    server, evaluation
):
    measurements = Measurements(Timing())
    newest = NOW // 300 * 300
    for key in (CARS, VANS):
        young = target(key, evidence_from=newest + 600)
        measurements.set_target(key, young, warms_up=key is CARS)
    assert list(await measurements.read(evaluation, NOW)) == [VANS]
    server.lies[""] = Lie.ERROR_503
    assert CARS in await measurements.read(evaluation, NOW + 300)
    server.lies.clear()
    assert CARS not in await measurements.read(evaluation, NOW + 600)
    assert CARS in await measurements.read(evaluation, NOW + 900)


async def test_a_product_in_warm_up_is_requeued_if_it_alone_is_unreadable(server, evaluation):
    measurements = Measurements(Timing())
    measurements.set_target(CARS, target(CARS, evidence_from=NOW + 900), warms_up=True)
    assert CARS not in await measurements.read(evaluation, NOW)
    server.lies["requests"] = Lie.REJECTED_422
    assert CARS in await measurements.read(evaluation, NOW + 300)
    assert not measurements.problem(300)


async def test_a_product_in_warm_up_is_requeued_if_its_samples_are_stale(server, evaluation):
    measurements = Measurements(Timing())
    young = target(CARS, evidence_from=NOW + 900)
    measurements.set_target(CARS, young, warms_up=True)
    for version in server.rows.versions:
        version.age = 1000
    assert CARS in await measurements.read(evaluation, NOW)


async def test_the_readings_of_a_block_length_are_dropped_with_its_last_product(
    evaluation, measurements
):
    await measurements.read(evaluation, NOW)
    assert measurements.newest(300)
    measurements.set_target(CARS, target(CARS, block_seconds=600))
    await measurements.read(evaluation, NOW + 10)
    assert measurements.newest(600)
    assert not measurements.newest(300)


def test_blocks_before_the_end_of_the_warm_up_do_not_count():
    product = serving_world(0).product
    assert product.status.stable is not None
    seen = store.target_of(product, Timing())
    warm_up = seen.evidence_from - product.status.stable.promotion_time
    assert 2 * BLOCK <= warm_up < 3 * BLOCK


def series_of(product, version: str) -> str:
    """Return the series name of stable or of the candidate."""
    live = (product.status.stable, product.status.candidate)
    return next(store.series_of(one) for one in live if one and one.version == version)


def test_a_candidate_is_measured_by_its_own_entry_service():
    world = serving_world(0).push("b", "v2")
    world.spec["spec"]["model"]["bento"]["service"] = "Renamed"
    product = world.until(lambda world: world.current.candidate is not None).product
    seen = store.target_of(product, Timing())
    assert seen.service_of(series_of(product, "v1")) != "Renamed"
    assert seen.service_of(series_of(product, "v2")) == "Renamed"


async def test_future_blocks_are_dropped_after_a_backward_clock_step(
    server, evaluation, measurements
):
    server.rows.versions[0].only = lambda index: index * 300 <= NOW
    far = NOW + 300 * 120
    await measurements.read(evaluation, far)
    assert newest(measurements) is Quality.NO_SERIES
    await measurements.read(evaluation, NOW)
    assert measurements.newest(300) == int(NOW) // 300
    assert newest(measurements) is Quality.COUNTED


async def test_a_backward_clock_step_within_a_block_keeps_canary_blocks(
    server, evaluation, measurements
):
    measurements.set_target(CARS, target(CARS, canary_from=int(NOW) - 3600))
    await measurements.read(evaluation, NOW + 10)
    key = SeriesKey(*CARS, "v1", "availability")
    known = measurements.canaries.blocks(key).indexes()
    assert len(known) > 10
    await measurements.read(evaluation, NOW + 5)
    assert measurements.canaries.blocks(key).indexes() == known


# ---- one product's -----------------------------------------------------------------------
async def test_a_product_without_its_backfill_is_not_evaluated(evaluation):
    product = serving_world(0).product
    measured = OfOneProduct(Measurements(Timing()), product)
    assert measured.measured(NOW).problem is DecisionReason.BACKFILLING
    key = Key(*product.metadata.key)
    measured.measurements.set_target(key, store.target_of(product, Timing()))
    assert measured.measured(NOW).problem is DecisionReason.BACKFILLING
    await measured.measurements.read(evaluation, NOW)
    assert measured.measured(NOW).problem is None
    metadata = product.metadata.model_copy(update={"name": "late"})
    late = product.model_copy(update={"metadata": metadata})
    measured.measurements.set_target(Key(*metadata.key), store.target_of(late, Timing()))
    assert (
        OfOneProduct(measured.measurements, late).measured(NOW).problem
        is DecisionReason.BACKFILLING
    )


async def test_a_product_with_stale_samples_has_no_measurements(server, evaluation):
    product = serving_world(0).product
    measured, key = OfOneProduct(Measurements(Timing()), product), product.metadata.key
    measured.measurements.set_target(Key(*key), store.target_of(product, Timing()))
    server.rows = World([ProductBlocks(product=key[1], age=600)])
    await measured.measurements.read(evaluation, NOW)
    assert measured.measured(NOW).problem is DecisionReason.PROMETHEUS_STALE


@pytest.mark.parametrize("serves", [False, True])
def test_a_product_without_a_candidate_has_no_canary_blocks(serves):
    world = serving_world(0)
    product = world.product if serves else DataProduct.parse(document())
    measurements, key = Measurements(Timing()), Key(*product.metadata.key)
    measured = OfOneProduct(measurements, product)
    for desired in (None, store.target_of(product, Timing())):
        measurements.set_target(key, desired)
        assert (measured.canary_blocks(), measured.requests()) == ((), Requests())
        found = measured.measured(NOW)
        assert (measured.sent(), found.pod_seconds, found.markets) == (None, None, {})
        assert found.series.keys() == ({"v1"} if serves else set())
    assert (store.target_of(product, Timing()) is None) is not serves


def test_a_candidate_without_a_share_has_no_canary_requests():
    measured = in_a_canary({"v1": 150, "v2": 50}, {"v1": 0, "v2": 7})
    assert measured.requests() == Requests(750, 250, 5, measured=5)
    assert measured.sent() == Requests(0, 35, 5, 5, measured=5)
    status = measured.product.status
    without = status.candidate.model_copy(update={"shares": ()})
    early = OfOneProduct(
        measured.measurements,
        measured.product.model_copy(
            update={"status": status.model_copy(update={"candidate": without})}
        ),
    )
    assert (early.requests(), early.sent()) == (Requests(), None)
    assert in_a_canary({"v1": 150}, {"v1": 0, "v2": 0}).sent() is None


AVAILABLE = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.99"}


@pytest.mark.parametrize(
    ("lies", "problems", "problem"),
    [
        ({}, {}, None),
        ({"labelled": Lie.ERROR_503}, {"accuracy": "PrometheusUnavailable"}, None),
        ({"labelled": Lie.REJECTED_422}, {"accuracy": "UnreadableSeries"}, None),
        ({"cpu": Lie.ERROR_503}, {}, None),
        (
            {"labelled": Lie.REJECTED_422, "requests": Lie.ERROR_503},
            {"accuracy": "UnreadableSeries", "availability": "PrometheusUnavailable"},
            "PrometheusUnavailable",
        ),
        (
            {"labelled": Lie.REJECTED_422, "requests": Lie.REJECTED_422},
            {"accuracy": "UnreadableSeries", "availability": "UnreadableSeries"},
            "UnreadableSeries",
        ),
        (
            {"": Lie.ERROR_503},
            {"accuracy": "PrometheusUnavailable", "availability": "PrometheusUnavailable"},
            "PrometheusUnavailable",
        ),
    ],
    ids=["nothing", "one", "one alone", "no count", "two reasons", "both alone", "all"],
)
async def test_each_slo_has_the_reason_for_its_missing_newest_block(
    server, evaluation, lies, problems, problem
):
    world = Rollout(spec=document(slos=[ACCURACY, AVAILABLE]))
    product = world.until(lambda world: world.serving == "v1").product
    measured, key = OfOneProduct(Measurements(Timing()), product), product.metadata.key
    desired = replace(store.target_of(product, Timing()), evidence_from=NOW)  # it has no past
    measured.measurements.set_target(Key(*key), desired)
    version = desired.versions[0]
    server.rows = World([ProductBlocks(namespace=key[0], product=key[1], version=version)])
    server.lies |= lies
    await measured.measurements.read(evaluation, NOW)
    assert measured.measured(NOW).problems == problems
    assert measured.measured(NOW).problem == problem


def test_the_lateness_of_a_new_block_length_counts_from_its_newest_block():
    """A block of five minutes settles a minute after its end."""
    late = store.BlockLateness(Timing())
    settled = 300 * 10 + 60
    assert late.lateness(settled) == 0
    late.expect([300], settled + 7)
    assert late.lateness(settled + 7) == 7
    read = Readings(block_seconds=300, canary=False, first=9, last=10, complete=False)
    late.record(read)
    assert late.lateness(settled + 7) == 7
    late.record(replace(read, complete=True))
    assert [late.lateness(settled + passed) for passed in (7, 299, 305)] == [0, 0, 5]
    late.expect([300, 60], settled + 305)
    assert late.lateness(settled + 305) == 5
    late.expect([300], settled - 300 * 4)  # the clock was set back
    assert late.lateness(settled - 300 * 4 + 302) == 2


def test_only_products_that_mirror_to_a_candidate_need_pairs():
    shadow = {"mirror": {"percent": 10}, "intervalSeconds": 3600}
    for rollout, paired in (({"shadow": shadow}, True), ({}, False)):
        world = Rollout(spec=document(rollout={"steps": [25, 50], **rollout})).run(20)
        assert not store.target_of(world.product, Timing()).paired
        world.push("b", "v2")
        world.until(lambda world: world.current.candidate)
        assert store.target_of(world.product, Timing()).paired is paired


def test_client_errors_are_counted_beside_the_slos_while_versions_are_compared():
    product = (
        Rollout(spec=document(slos=[ACCURACY, AVAILABLE]))
        .until(lambda world: world.serving == "v1")
        .product
    )
    slos = {"accuracy", "availability"}
    probation = Probation(version="v1", against="v0", start_time=int(NOW))
    for tried, kept in ((None, slos), (probation, slos | {CLIENT_ERRORS})):
        status = product.status.replace(probation=tried)
        alone = product.model_copy(update={"status": status})
        measured = OfOneProduct(Measurements(Timing()), alone).measured(NOW)
        assert measured.series["v1"].keys() == kept


AUTOSCALED = {
    "autoscaling": {"minReplicas": 2, "maxReplicas": 8},
    "resources": {"requests": {"cpu": "1"}},
}


@pytest.mark.parametrize(("serving", "pods"), [({"replicas": 2}, None), (AUTOSCALED, 3)])
async def test_the_pods_of_an_autoscaled_product_are_counted_by_block(
    server, evaluation, serving, pods
):
    world = serving_world(0, serving=serving)
    product = world.product
    measured, key = OfOneProduct(Measurements(Timing()), product), product.metadata.key
    measured.measurements.set_target(
        Key(*key), replace(store.target_of(product, Timing()), evidence_from=0)
    )
    name = store.series_of(product.status.stable)
    server.rows = World([ProductBlocks(namespace=key[0], product=key[1], version=name, targets=3)])
    await measured.measurements.read(evaluation, NOW)
    counted = measured.measured(NOW).pod_seconds
    assert (counted and counted.window(measured.newest, 3).total / (3 * BLOCK)) == pods
    assert (counted and counted.hour(measured.newest // 12 - 9).total / (12 * BLOCK)) == pods


def test_requests_during_the_propagation_of_a_weight_change_are_not_counted():
    measured = in_a_canary({"v1": 150, "v2": 50}, None)
    first = measured.canary_blocks()[0]
    begun = first.end - measured.canary_seconds
    for late, blocks in ((4, 5), (3, 5), (2, 4)):  # three seconds is what a data plane may lag
        moved = with_share_at(measured, begun - late)
        assert moved.requests().blocks == blocks


async def test_a_product_without_a_newest_block_is_not_evaluated(server, evaluation, measurements):
    product = serving_world(0).product
    key, measured = Key(*product.metadata.key), OfOneProduct(measurements, product)
    measurements.set_target(CARS, None)  # whose blocks have another length
    # Long enough ago to have a past.
    measurements.set_target(key, replace(store.target_of(product, Timing()), evidence_from=0))
    answer, seen = server.rows, []

    def look_while_asked(*asked):
        seen.append((measurements.is_filled(key), measured.measured(NOW).problem))
        return answer(*asked)

    server.rows = look_while_asked
    await measurements.read(evaluation, NOW)
    assert {filled for filled, _ in seen} == {False, True}
    assert {problem for _, problem in seen} == {DecisionReason.BACKFILLING}
    assert measured.measured(NOW).problem is None


def test_products_with_equal_slos_share_one_object_of_indicators():
    one, other = (
        DataProduct.parse(document() | {"status": world.status})
        for world in (serving_world(0) for _ in range(2))
    )
    assert one is not other
    targets = [store.target_of(each, Timing()) for each in (one, other)]
    assert targets[0].slos is targets[1].slos
    assert targets[0].slos == {slo.name: slo.indicator for slo in one.spec.slos}


BASKET = {"name": "basket", "indicator": {"gauge": {"metric": "basket_value"}}, "maxDrop": "5"}


def test_a_canary_block_pairs_the_means_of_a_gauge_where_both_versions_have_one():
    measured = in_a_canary({"v1": 9}, None, slos=[ACCURACY, BASKET])
    key, first = measured.product.metadata.key, measured.canary_blocks()[0]
    index = first.end // measured.canary_seconds
    means = {
        SeriesKey(*key, series_of(measured.product, version), "basket"): [
            Mean(number, Quality.COUNTED, value) for number, value in enumerate(values, start=index)
        ]
        for version, values in {"v1": (41.0, 42.0), "v2": (40.0,)}.items()
    }
    read_again(measured, index, index + 1, means=means)
    told = [block.gauges for block in measured.canary_blocks()]
    assert told == [{"basket": (40.0, 41.0)}, {}, {}, {}, {}]


SHARE = 25


def in_a_canary(pods: dict[str, int], sent: dict[str, int] | None, **spec: Any) -> OfOneProduct:
    """Return a product that gave a candidate 25 %, with requests a block by version.

    `sent` is what the gateway counted; None where it didn't answer.
    """
    rollout = Rollout(spec=document(rollout={"steps": [SHARE, 50]}, **spec)).run(20)
    rollout.push("b", "v2")
    rollout.until(lambda world: world.current.candidate and world.current.candidate.shares)
    product = rollout.product
    measured = OfOneProduct(Measurements(Timing(scrape_seconds=BLOCK / 4)), product)
    status, key = product.status, product.metadata.key
    revisions = {one.version: one.revision for one in (status.stable, status.candidate)}
    indexes = range(rollout.now // BLOCK + 2, rollout.now // BLOCK + 7)
    measured.measurements.canaries.record(
        Readings(
            block_seconds=measured.canary_seconds,
            canary=True,
            first=indexes[0],
            last=indexes[-1],
            blocks={
                SeriesKey(*key, series_of(product, version), REQUESTS): [
                    Block(index, Quality.COUNTED, Count(0, total)) for index in indexes
                ]
                for version, total in pods.items()
            },
            gateway=None
            if sent is None
            else {
                backend_of(key[0], version_name(key[1], revisions[version])): dict.fromkeys(
                    indexes, float(total)
                )
                for version, total in sent.items()
            },
        )
    )
    return measured


def with_share_at(measured: OfOneProduct, moment: int) -> OfOneProduct:
    """Return the same, as if the share and the traffic had changed at this moment, in seconds."""
    status = measured.product.status
    one = status.candidate.shares[0]
    shares = [one.model_copy(update={"start_time": at}) for at in (moment - 10**6, moment)]
    candidate = status.candidate.model_copy(update={"shares": tuple(shares)})
    status = status.model_copy(update={"candidate": candidate, "traffic": None})
    return OfOneProduct(
        measured.measurements, measured.product.model_copy(update={"status": status})
    )


def read_again(measured: OfOneProduct, first: int, last: int, **changes) -> None:
    """Return another reading of some canary blocks: of the candidate, and of the gateway's counts."""
    settings = {"block_seconds": measured.canary_seconds, "canary": True, "blocks": {}}
    measured.measurements.canaries.record(
        Readings(first=first, last=last, **settings | changes),
    )


def test_canary_blocks_are_rebuilt_only_if_read_again():
    measured = in_a_canary({"v1": 150, "v2": 50}, {"v1": 150, "v2": 50})
    before = measured.canary_blocks()
    index = before[2].end // measured.canary_seconds
    slo = measured.product.spec.slos[0].name
    candidate = SeriesKey(*measured.product.metadata.key, series_of(measured.product, "v2"), slo)

    counted = Block(index, Quality.COUNTED, Count(1, 7))
    read_again(measured, index, index, blocks={candidate: [counted]})
    after = measured.canary_blocks()

    assert [new is old for new, old in zip(after, before, strict=True)] == [
        True, True, False, True, True
    ]  # fmt: skip
    assert after[2].candidate[slo] == BlockValue(Quality.COUNTED, Count(1, 7))


@pytest.mark.parametrize("of_all", [False, True])
def test_later_gateway_counts_update_the_blocks_of_a_canary(of_all):
    measured = in_a_canary({"v1": 150, "v2": 50}, {"v1": 150, "v2": 50})
    before = measured.canary_blocks()
    first, last = (block.end // measured.canary_seconds for block in (before[0], before[-1]))
    stable = measured.product.status.stable
    backend = backend_of("catalog", version_name(measured.product.metadata.name, stable.revision))
    read_again(
        measured, first, last if of_all else first,
        gateway={backend: dict.fromkeys(range(first, last + 1), 9.0)},
    )  # fmt: skip
    told = [block.sent for block in measured.canary_blocks()]
    assert told == [(50, 9)] * (5 if of_all else 1) + [(50, 150)] * (0 if of_all else 4)


def test_canary_blocks_are_rebuilt_for_another_candidate():
    measured = in_a_canary({"v1": 150, "v2": 50}, {"v1": 150, "v2": 50})
    before = measured.canary_blocks()
    status = measured.product.status
    other = status.candidate.model_copy(update={"version": "v3"})
    changed = measured.product.model_copy(
        update={"status": status.model_copy(update={"candidate": other})}
    )
    after = OfOneProduct(measured.measurements, changed).canary_blocks()
    assert len(after) == len(before)
    assert not {id(block) for block in after} & {id(block) for block in before}


def test_canary_blocks_of_another_length_are_excluded():
    measured = in_a_canary({"v1": 150, "v2": 50}, {"v1": 150, "v2": 50})
    (*_, last) = measured.canary_blocks()
    stable = SeriesKey(*measured.product.metadata.key, series_of(measured.product, "v1"), REQUESTS)
    seconds = 2 * measured.canary_seconds
    index = last.end // seconds + 1
    counted = [Block(index, Quality.COUNTED, Count(0, 9))]
    read_again(measured, index, index, block_seconds=seconds, blocks={stable: counted})
    assert measured.measurements.canaries.blocks(stable).indexes() == [index]


def verified(measured: OfOneProduct) -> tuple[float, bool]:
    """Return the share that was seen, and whether it contradicts the weight."""
    status, key = measured.product.status, Key(*measured.product.metadata.key)
    shares = {status.stable.revision: 100 - SHARE, status.candidate.revision: SHARE}
    route = RouteRecord(
        key=key, parent=key, uid="1", version=1, owner="1", fingerprint="", generation=2,
        weights=tuple((version_name(key.name, one), share) for one, share in shares.items()),
        parents=(ParentStatus("gateway", "web", "", True, True, 2, ""),),
    )  # fmt: skip
    now = status.candidate.shares[-1].start_time + 7 * BLOCK
    split = split_of(measured, LiveRoutes(route, None, {}), measured.requests(), now=now)
    return split.share, split.mismatched


@pytest.mark.parametrize(
    ("pods", "sent", "share", "mismatched"),
    [
        ({"v1": 900, "v2": 50}, {"v1": 150, "v2": 50}, 0.25, False),
        ({"v1": 150, "v2": 50}, {"v1": 190, "v2": 10}, 0.05, True),
        ({"v1": 190, "v2": 10}, None, 0.05, False),
        ({"v1": 190, "v2": 10}, {}, 0.05, False),
        ({"v1": 150, "v2": 50}, {"v1": 200}, 0.0, True),
    ],
    ids=["callers past the gateway", "too small", "no answer", "says nothing", "none sent"],
)
def test_the_observed_share_comes_from_gateway_counts_if_available(pods, sent, share, mismatched):
    measured = in_a_canary(pods, sent)
    assert verified(measured) == (pytest.approx(share), mismatched)
    told = {block.sent for block in measured.canary_blocks()}
    assert told == {(sent.get("v2", 0), sent["v1"]) if sent else None}


def test_requests_to_unknown_paths_count_as_canary_requests():
    """A renamed route: "none of 1,087 requests reached the canary; 272 were expected"."""
    measured = in_a_canary({"v1": 150}, None)
    key = Key(*measured.product.metadata.key)
    target = store.target_of(measured.product, measured.measurements.timing)
    assert target.client_errors
    measured.measurements.set_target(key, target)
    indexes = [
        block.end // measured.canary_seconds
        for block in in_a_canary({"v1": 1}, None).canary_blocks()
    ]
    blocks = {
        SeriesKey(*key, series_of(measured.product, version), CLIENT_ERRORS): [
            Block(index, Quality.COUNTED, Count(refused, total)) for index in indexes
        ]
        for version, refused, total in (("v1", 3, 153), ("v2", 50, 50))
    }
    read_again(measured, indexes[0], indexes[-1], blocks=blocks)
    assert verified(measured) == (pytest.approx(50 / 203), False)
    pairs = {
        (b.stable[CLIENT_ERRORS].count, b.candidate[CLIENT_ERRORS].count)
        for b in measured.canary_blocks()
    }
    assert pairs == {(Count(3, 153), Count(50, 50))}


def test_client_errors_are_read_in_a_canary_and_on_probation_but_not_while_idle():
    rollout = Rollout(spec=document(rollout={"steps": [SHARE, 50]})).run(20)
    desired = {}
    for phase, holds in {
        "at rest": lambda world: world.serving == "v1",
        "canary": lambda world: world.current.candidate is not None,
        "probation": lambda world: world.serving == "v2",
        "after it": lambda world: world.current.probation is None,
    }.items():
        target = store.target_of(rollout.until(holds, most=3000).product, Timing())
        desired[phase] = target.client_errors
        if phase == "at rest":
            rollout.push("b", "v2")
    assert desired == {"at rest": False, "canary": True, "probation": True, "after it": False}

"""What the peers are given, and how one sees in their objects that they are done."""

from __future__ import annotations

import aiohttp
import pytest

from benchmarks.contender import Product
from benchmarks.contenders import CONTENDERS
from benchmarks.peers import argo_rollouts, flagger
from benchmarks.peers.answers import answer
from benchmarks.peers.argo_rollouts import ArgoRollouts
from benchmarks.peers.flagger import Flagger
from benchmarks.peers.settings import DWELL_SECONDS, WEIGHTS
from benchmarks.peers.workload import VERSION
from benchmarks.prometheus_stand_in import PrometheusStandIn

PRODUCT = Product("bench-1", "product-0001", 1)
PEERS = [Flagger(), Flagger(flagger.TUNED), ArgoRollouts(), ArgoRollouts(argo_rollouts.TUNED)]


def by_kind(bodies):
    return {body["kind"]: body for body in bodies}


def canary_with(**status):
    return {"metadata": {"generation": 1}, "status": status}


def rollout_with(version="v1", generation=2, **status):
    body = argo_rollouts.rollout(PRODUCT, version)
    body["metadata"]["generation"] = generation
    return {**body, "status": status}


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.description.name)
def test_a_benchmark_peer_runs_under_its_own_name(peer):
    assert CONTENDERS[peer.description.name]() == peer


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.description.name)
def test_each_product_of_a_peer_has_one_object_in_the_observed_collection(peer):
    collection = peer.observed.rpartition("/")[2]
    plurals = {"Canary": "canaries", "Rollout": "rollouts"}
    observed = [obj for obj in peer.objects(PRODUCT) if plurals.get(obj["kind"]) == collection]

    assert [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in observed] == [
        PRODUCT.key
    ]


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.description.name)
def test_a_peer_change_modifies_only_the_version(peer):
    before, [after] = by_kind(peer.objects(PRODUCT)), peer.changes(PRODUCT)
    workload = before[after["kind"]]

    versions = [
        one["spec"]["template"]["metadata"]["labels"].pop(VERSION) for one in (workload, after)
    ]
    images = [
        one["spec"]["template"]["spec"]["containers"][0].pop("image") for one in (workload, after)
    ]
    assert versions == ["v1", "v2"]
    assert len(set(images)) == len(versions)
    assert workload == after


def test_the_user_s_deployment_leaves_the_replica_count_to_flagger():
    assert "replicas" not in flagger.deployment(PRODUCT, "v1")["spec"]


def test_a_canary_in_a_wave_has_the_shortest_interval_of_flagger():
    quick = Product("bench-1", "promoted-0001", 1, quick=True)

    def interval(peer, product):
        return by_kind(peer.objects(product))["Canary"]["spec"]["analysis"]["interval"]

    assert interval(Flagger(), PRODUCT) == "60s"
    assert interval(Flagger(), quick) == "10s"
    assert interval(Flagger(flagger.TUNED), PRODUCT) == "10s"


def test_both_peers_have_our_rollout_steps():
    analysis = by_kind(Flagger().objects(PRODUCT))["Canary"]["spec"]["analysis"]
    steps = by_kind(ArgoRollouts().objects(PRODUCT))["Rollout"]["spec"]["strategy"]["canary"][
        "steps"
    ]

    assert analysis["stepWeights"] == list(WEIGHTS)
    assert [step["setWeight"] for step in steps if "setWeight" in step] == list(WEIGHTS)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.description.name)
def test_the_ideal_time_of_a_peer_follows_from_its_configured_waits(peer):
    assert peer.ideal_promotion_seconds() == DWELL_SECONDS * len(WEIGHTS)


@pytest.mark.parametrize(
    ("body", "ready", "promoted"),
    [
        ({"metadata": {}}, False, False),
        (canary_with(phase="Initializing"), False, False),
        (canary_with(phase="Initialized", lastAppliedSpec="a", lastPromotedSpec="a"), True, False),
        (canary_with(phase="Progressing", lastAppliedSpec="b", lastPromotedSpec="a"), False, False),
        (canary_with(phase="Finalising", lastAppliedSpec="b", lastPromotedSpec="a"), False, False),
        (canary_with(phase="Succeeded", lastAppliedSpec="b", lastPromotedSpec="b"), True, True),
        (canary_with(phase="Failed", lastAppliedSpec="b", lastPromotedSpec="a"), False, False),
    ],
    ids=["new", "initializing", "initialized", "progressing", "finalising", "succeeded", "failed"],
)
def test_a_flagger_canary_is_ready_or_promoted_by_its_phase(body, ready, promoted):
    assert (Flagger().is_ready(body), Flagger().is_promoted(body)) == (ready, promoted)


HEALTHY = {"phase": "Healthy", "observedGeneration": "2", "stableRS": "a", "currentPodHash": "a"}


@pytest.mark.parametrize(
    ("body", "ready", "promoted"),
    [
        (rollout_with(), False, False),
        (rollout_with(**HEALTHY), True, False),
        (rollout_with("v2", generation=3, **HEALTHY), False, False),
        (rollout_with("v2", **{**HEALTHY, "phase": "Paused"}), False, False),
        (rollout_with("v2", **{**HEALTHY, "currentPodHash": "b"}), True, False),
        (rollout_with("v2", **HEALTHY), True, True),
    ],
    ids=["new", "first version", "change not seen", "paused", "other stable", "promoted"],
)
def test_an_argo_rollout_is_ready_or_promoted_by_its_status(body, ready, promoted):
    assert (ArgoRollouts().is_ready(body), ArgoRollouts().is_promoted(body)) == (ready, promoted)


def test_argo_rollouts_queries_are_answered_within_its_limits():
    queries = [
        metric["provider"]["prometheus"]["query"]
        for metric in argo_rollouts.analysis()["spec"]["metrics"]
    ]
    success, duration = map(answer, queries)

    assert success >= argo_rollouts.MIN_SUCCESS
    assert duration <= argo_rollouts.MAX_SECONDS


def test_flagger_s_queries_are_answered_within_its_limits():
    # The shape of what it asks; it writes the text itself.
    count = "http_request_duration_seconds_count"
    success = answer(f'sum(rate({count}{{status!~"5.*"}}[1m])) / sum(rate({count}[1m])) * 100')
    duration = answer("histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket)))")

    assert success >= flagger.MIN_SUCCESS_PERCENT
    assert duration * 1000 <= flagger.MAX_MILLISECONDS
    assert answer("vector(1)") == 1


def test_a_query_that_no_peer_sends_has_no_series():
    assert answer("bentoml_service_request_total") is None


async def test_the_stand_in_answers_instant_queries_however_they_are_sent():
    async with (
        PrometheusStandIn(lambda *_: [], instant=answer) as prometheus,
        aiohttp.ClientSession(prometheus.url) as session,
        session.get("/api/v1/query", params={"query": "vector(1)"}) as got,
        session.post("/api/v1/query", data={"query": "vector(1)"}) as posted,
        session.get("/api/v1/query", params={"query": "up"}) as empty,
    ):
        values = [
            [row["value"][1] for row in (await each.json())["data"]["result"]]
            for each in (got, posted, empty)
        ]

    assert values == [["1"], ["1"], []]
    assert prometheus.queries["instant"] == len(values)

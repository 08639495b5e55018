"""A product whose route is refused: what it has goes on, what it hasn't isn't written."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.names import REQUEST_ABORT
from sluicegate.kube.errors import Invalid
from sluicegate.kube.managed_fields import canonical_value
from sluicegate.kube.resources import (
    DATA_PRODUCTS,
    DEPLOYMENTS,
    GATEWAYS,
    HTTP_ROUTES,
    SERVICES,
    Key,
)
from sluicegate.runtime.interfaces import QueuePriority
from tests.support.apiserver.observed_cluster import ACCEPTED, Cluster, EventNote
from tests.support.decisions.rollout_world import GATEWAY, World, document, serving_world

if TYPE_CHECKING:
    from collections.abc import Sequence

SEARCH, RIVAL = Key("catalog", "search"), Key("rivals", "rival")
OLDER, YOUNGER = "2025-01-01T00:00:00Z", "2026-06-01T00:00:00Z"


@pytest.fixture(scope="module")
def serving() -> World:
    """Return a product that serves, without a canary."""
    return serving_world(2)


@pytest.fixture(scope="module")
def canary() -> World:
    """Return a product in mid-canary."""
    world = serving_world(2).push("b", "v2")
    return world.until(lambda one: one.current.candidate and one.current.candidate.weight == 25)


@pytest.fixture
async def cluster(server):
    programmed = {"conditions": [{"type": "Programmed", "status": "True"}]}
    gateway = {"metadata": {"name": "web", "namespace": "gateway"}, "status": programmed}
    server.keep(GATEWAYS, gateway)
    return Cluster(server)


FOLLOW_SECONDS = 10
"""After which a gateway\'s data plane has followed its status, whatever happened."""
ABORTED = {"annotations": {REQUEST_ABORT: "1"}}


async def test_a_rival_older_product_does_not_block_a_rollback_and_gets_no_route(
    cluster, canary, serving
):
    """The weight of a canary that was rolled back stayed where it was, indefinitely."""
    cluster.add(canary, SEARCH, created=YOUNGER, **ABORTED)
    cluster.add(serving, RIVAL, created=OLDER, routed=False)
    assert cluster.weights(SEARCH) == [75, 25]
    await cluster.reconcile(RIVAL, SEARCH)
    assert cluster.weights(SEARCH) == [100]
    status, reason, message = cluster.ready(RIVAL)
    assert (status, reason) == ("False", "RouteShadowed")
    assert "catalog" not in message
    assert cluster.live(HTTP_ROUTES, RIVAL) is None
    assert cluster.ready(SEARCH)[0] == "True"


@pytest.mark.parametrize(
    "route",
    [
        GATEWAY | {"path": "/taken"},
        GATEWAY | {"hostnames": ["shop.example"], "path": "/taken"},
        GATEWAY | {"parentRefs": [*GATEWAY["parentRefs"], {"name": "other"}], "path": "/taken/by"},
    ],
)
async def test_a_rollback_completes_though_the_spec_claims_a_route_of_another_product(
    cluster, canary, serving, route
):
    cluster.add(serving, RIVAL, created=OLDER, route=GATEWAY | {"path": "/taken"}, routed=False)
    await cluster.reconcile(RIVAL)
    accept(cluster, RIVAL)
    await cluster.reconcile(RIVAL)
    cluster.add(canary, SEARCH, created=OLDER, route=route, **ABORTED)
    before = without_backends(cluster.live(HTTP_ROUTES, SEARCH))
    await cluster.reconcile(SEARCH)
    assert cluster.ready(SEARCH)[1] == "RouteShadowed"
    assert cluster.weights(SEARCH) == [100]
    assert without_backends(cluster.live(HTTP_ROUTES, SEARCH)) == before
    assert candidate_of(cluster)["phase"] == "RollingBack"
    await drained(cluster, canary)
    assert candidate_of(cluster) is None


async def test_a_rollback_completes_though_its_route_was_deleted_and_claimed_by_another_product(
    cluster, canary, serving
):
    cluster.add(serving, RIVAL, created=YOUNGER)
    cluster.add(canary, SEARCH, created=OLDER, routed=False, **ABORTED)
    await cluster.reconcile(SEARCH)
    assert cluster.live(HTTP_ROUTES, SEARCH) is None
    await drained(cluster, canary)
    assert candidate_of(cluster) is None


@pytest.mark.parametrize("refused", ["deployments", "services", "poddisruptionbudgets"])
async def test_a_candidate_loses_its_traffic_though_another_child_is_refused(
    cluster, canary, refused
):
    cluster.add(canary, SEARCH, created=OLDER, **ABORTED)
    cluster.server.invalid.add(refused)
    with pytest.raises(Invalid):
        await cluster.reconcile(SEARCH)
    assert cluster.weights(SEARCH) == [100]


async def test_a_rollback_writes_the_route_before_other_children(cluster, canary):
    cluster.add(canary, SEARCH, created=OLDER, **ABORTED)
    cluster.server.sent.clear()
    await cluster.reconcile(SEARCH)
    writes = [write.path.split("/")[-2] for write in cluster.server.writes]
    children = [write for write in writes if write not in ("search", "dataproducts")]
    assert children[0] == "httproutes"


async def test_a_refused_child_does_not_prevent_writes_of_other_children(cluster, serving):
    cluster.add(serving, SEARCH, created=OLDER, routed=False)
    cluster.server.invalid.add("deployments")
    with pytest.raises(Invalid):
        await cluster.reconcile(SEARCH)
    assert cluster.live(HTTP_ROUTES, SEARCH) is not None
    assert cluster.live(SERVICES, SEARCH) is not None


async def test_a_route_is_written_after_its_missing_service(cluster, canary):
    cluster.add(canary, SEARCH, created=OLDER, **ABORTED)
    caches = cluster.reconciler.reader.observer.caches
    for child in tuple(caches[SERVICES].children(SEARCH)):
        caches[SERVICES].forget(cluster.live(SERVICES, child.key))
        del cluster.server.objects[SERVICES.path(*child.key)]
    cluster.server.sent.clear()
    await cluster.reconcile(SEARCH)
    children = [write.path.split("/")[-2] for write in cluster.server.writes]
    assert children.index("services") < children.index("httproutes")


async def test_both_products_of_a_shadowed_route_get_one_event_even_after_a_restart(
    cluster, serving
):
    cluster.add(serving, SEARCH, created=YOUNGER)
    cluster.add(serving, RIVAL, created=OLDER, routed=False)
    told: list[tuple[str, str, str]] = []
    for _ in range(2):
        object.__setattr__(cluster.reconciler.reporter.writer, "recorder", EventNote(told))
        await cluster.reconcile(RIVAL, SEARCH, RIVAL)
        cluster = cluster.restarted()
    shadowed = [one for one in told if one[2] == "RouteShadowed"]
    assert shadowed == [
        ("rival", "Warning", "RouteShadowed"),
        ("search", "Normal", "RouteShadowed"),
    ]
    assert cluster.ready(SEARCH)[0] == "True"


async def test_a_first_version_whose_route_is_refused_emits_no_serving_event(cluster, serving):
    starting = World(spec=document())
    starting.step()
    cluster.add(serving, SEARCH, created=YOUNGER)
    cluster.add(starting, RIVAL, created=OLDER)
    told: list[tuple[str, str, str]] = []
    object.__setattr__(cluster.reconciler.reporter.writer, "recorder", EventNote(told))
    await cluster.reconcile(SEARCH, RIVAL)
    assert cluster.live(DATA_PRODUCTS, RIVAL)["status"]["stable"]["version"] == "v1"
    assert [reason for name, _, reason in told if name == "rival"] == ["RouteShadowed"]


async def test_a_first_version_whose_route_no_gateway_accepts_emits_no_serving_event(cluster):
    """The event Normal Serving stood beside Ready=False, RouteNotAccepted."""
    starting = World(spec=document())
    starting.step()
    cluster.add(starting, SEARCH, created=OLDER)
    told: list[tuple[str, str, str]] = []
    object.__setattr__(cluster.reconciler.reporter.writer, "recorder", EventNote(told))
    await cluster.reconcile(SEARCH)
    refused = [{**one, "status": "False", "reason": "NotAllowedByListeners"} for one in ACCEPTED]
    accept(cluster, SEARCH, refused)
    cluster.reconciler.reader.first_starts.start_times[SEARCH] = 0  # long enough ago to be reported
    await cluster.reconcile(SEARCH)
    assert cluster.ready(SEARCH)[:2] == ("False", "RouteNotAccepted")
    assert "Serving" not in {reason for _, _, reason in told}
    accept(cluster, SEARCH)
    await cluster.reconcile(SEARCH)
    assert cluster.ready(SEARCH)[:2] == ("True", "Serving")


async def test_a_first_start_ends_with_the_status_that_names_a_stable_version(cluster):
    starting = World(spec=document())
    starting.step()
    cluster.add(starting, SEARCH, created=OLDER)
    starts = cluster.reconciler.reader.first_starts
    await cluster.reconcile(SEARCH)
    assert "stable" not in cluster.live(DATA_PRODUCTS, SEARCH)["status"]
    assert SEARCH in starts
    accept(cluster, SEARCH)
    await cluster.reconcile(SEARCH)
    assert cluster.live(DATA_PRODUCTS, SEARCH)["status"]["stable"]
    assert SEARCH not in starts


async def test_routes_with_hosts_of_different_listeners_do_not_conflict(cluster, serving):
    """A route without hosts, on a listener of its own, kept out all that name no listener."""
    listeners = [{"name": name, "port": 80, "hostname": f"{name}.example"} for name in ("a", "b")]
    own = [GATEWAY["parentRefs"][0] | {"sectionName": "b"}]
    cluster.add(serving, RIVAL, created=OLDER, route=GATEWAY | {"parentRefs": own}, routed=False)
    await cluster.reconcile(RIVAL)
    accept(cluster, RIVAL)
    await cluster.reconcile(RIVAL)
    route = GATEWAY | {"hostnames": ["a.example"]}
    cluster.add(serving, SEARCH, created=YOUNGER, route=route, routed=False)
    cluster.server.sent.clear()
    await cluster.reconcile(SEARCH)
    assert cluster.ready(SEARCH)[1] == "RouteShadowed"
    gateway = {
        "metadata": {"name": "web", "namespace": "gateway"},
        "spec": {"listeners": listeners},
    }
    cluster.server.keep(GATEWAYS, gateway)
    cluster.reconciler.reader.observer.gateways._known.clear()  # what was read is believed for a moment
    await cluster.reconcile(SEARCH)
    assert cluster.live(HTTP_ROUTES, SEARCH) is not None
    assert cluster.ready(SEARCH)[1] != "RouteShadowed"


async def test_a_product_with_a_refused_route_and_a_name_conflict_writes_its_status_once(
    cluster, serving
):
    cluster.add(serving, SEARCH, created=YOUNGER)
    cluster.add(serving, RIVAL, created=OLDER, routed=False)
    stranger = deepcopy(cluster.live(SERVICES, RIVAL))
    del stranger["metadata"]["ownerReferences"]
    cluster.observe(SERVICES, stranger)
    await cluster.reconcile(SEARCH, RIVAL)
    cluster.server.sent.clear()
    await cluster.reconcile(RIVAL, RIVAL)
    assert not [write for write in cluster.server.writes if write.path.endswith("/status")]


async def test_a_waiting_product_is_requeued_when_the_route_is_free(cluster, serving):
    cluster.add(serving, SEARCH, created=YOUNGER)
    cluster.add(serving, RIVAL, created=OLDER, routed=False)
    await cluster.reconcile(SEARCH, RIVAL)
    caches = cluster.reconciler.reader.observer.caches
    caches.products.forget(cluster.live(DATA_PRODUCTS, SEARCH))
    caches[HTTP_ROUTES].forget(cluster.live(HTTP_ROUTES, SEARCH))
    queued: list[tuple[Key, QueuePriority]] = []
    cluster.reconciler.reader.routes.claims._wake = lambda key: queued.append(
        (key, QueuePriority.NORMAL)
    )
    await cluster.reconcile(SEARCH)
    assert [key for key, _ in queued] == [RIVAL]
    await cluster.reconcile(RIVAL)
    assert cluster.live(HTTP_ROUTES, RIVAL) is not None


def accept(cluster: Cluster, key: Key, says: Sequence[dict[str, Any]] = ACCEPTED) -> None:
    """Let the Gateways take a product's route, or say something else of it."""
    body = cluster.live(HTTP_ROUTES, key)
    parents = [{"parentRef": parent, "conditions": says} for parent in body["spec"]["parentRefs"]]
    cluster.observe(HTTP_ROUTES, body | {"status": {"parents": parents}})


async def drained(cluster: Cluster, canary: World) -> None:
    """Let the candidate's pods go and the data plane follow, and reconcile the product again."""
    candidate = canary.current.candidate
    key = Key(SEARCH.namespace, f"search-{candidate.revision}")
    body = deepcopy(cluster.live(DEPLOYMENTS, key))
    body["status"] = {"observedGeneration": 9, "replicas": 0}
    cluster.observe(DEPLOYMENTS, body)
    cluster.later += FOLLOW_SECONDS
    await cluster.reconcile(SEARCH)


def candidate_of(cluster: Cluster) -> Any:
    return cluster.live(DATA_PRODUCTS, SEARCH)["status"].get("candidate")


def without_backends(route: Any) -> Any:
    spec = deepcopy(route["spec"])
    for rule in spec["rules"]:
        del rule["backendRefs"]
    return canonical_value(spec)


async def test_a_product_missing_from_the_cache_for_a_moment_keeps_its_route_claim(
    cluster, serving
):
    """A list that fails as if the kind were gone forgets all products; another product is seen again first."""
    cluster.add(serving, SEARCH, created=OLDER)
    cluster.add(
        serving, RIVAL, created=YOUNGER, route=GATEWAY | {"path": "/search/x"}, routed=False
    )
    await cluster.reconcile(SEARCH, RIVAL)
    assert cluster.ready(RIVAL)[1] == "RouteShadowed"
    products = cluster.reconciler.reader.observer.caches.products
    bodies = {key: cluster.live(DATA_PRODUCTS, key) for key in (RIVAL, SEARCH)}
    for key, body in bodies.items():
        products.forget(body)
        await cluster.reconcile(key)
    for key, body in bodies.items():
        products.observe(body)
        await cluster.reconcile(key)
        assert cluster.live(HTTP_ROUTES, RIVAL) is None
    assert cluster.ready(SEARCH)[0] == "True"


async def test_a_deleted_product_has_no_claim_once_its_route_is_deleted(cluster, serving):
    cluster.add(serving, SEARCH, created=OLDER)
    cluster.add(
        serving, RIVAL, created=YOUNGER, route=GATEWAY | {"path": "/search/x"}, routed=False
    )
    await cluster.reconcile(SEARCH, RIVAL)
    caches, queue = cluster.reconciler.reader.observer.caches, cluster.reconciler.effects.queue
    caches.products.forget(cluster.server.objects.pop(DATA_PRODUCTS.path(*SEARCH)))
    await cluster.reconcile(SEARCH, RIVAL)
    assert cluster.live(HTTP_ROUTES, RIVAL) is None
    caches[HTTP_ROUTES].forget(cluster.server.objects.pop(HTTP_ROUTES.path(*SEARCH)))
    await cluster.reconcile(SEARCH)
    assert queue.poll() == RIVAL
    await cluster.reconcile(RIVAL)
    assert cluster.live(HTTP_ROUTES, RIVAL) is not None

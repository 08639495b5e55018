"""What the operator relies on, asked of the real API server and of the one in memory alike.

The stories and lives on virtual time hold as far as these two agree.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from benchmarks.virtual.admission import Crowded, Refused
from benchmarks.virtual.api_server import ApiServer
from benchmarks.virtual.network import Line, Network
from cluster.kinds import install_crds, install_gateway_api
from sluicegate.kube import errors, requests
from sluicegate.kube.client import KubeApi
from sluicegate.kube.connections import Connections
from sluicegate.kube.credentials import login, tls_of
from sluicegate.kube.leases import LeaseRecord, LeaseStore
from sluicegate.kube.managed_fields import fingerprint, owned_fingerprint, owned_part, written_at
from sluicegate.kube.requests import ABSENT_VERSION, JSON
from sluicegate.kube.resources import (
    CONFIG_MAPS,
    DATA_PRODUCTS,
    DEPLOYMENTS,
    EVENTS,
    HTTP_ROUTES,
    SERVICES,
    Key,
    Resource,
)
from sluicegate.kube.transport import Transport
from sluicegate.runtime.clock import boot_seconds
from sluicegate.runtime.event_recorder import EventRecorder, EventSubject, Note
from sluicegate.runtime.write_fence import OpenGate
from tests.support.decisions.rollout_world import document, image
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

Body = dict[str, Any]

MANAGER = "sluicegate"


@pytest.fixture(scope="module", autouse=True)
def crds(control_plane):
    install_crds(control_plane)
    install_gateway_api(control_plane)


@pytest.fixture(params=["real", "in memory"])
def wire(request, control_plane, monkeypatch, namespace) -> Connections | Line:
    # How long a write may take isn't what is tested here, and the machine may be busy.
    monkeypatch.setattr(requests, "WRITE_SECONDS", 60.0)
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    if request.param == "real":
        return Connections(login)
    server = ApiServer(time.time)
    server.namespaces.add(namespace)
    return Line(Network(server, random.Random(0)), "one")


@pytest.fixture
async def transport(wire) -> AsyncIterator[Transport]:
    opened = Transport(wire)
    yield opened
    await opened.close()


@pytest.fixture
def watch(wire) -> Callable[..., AsyncGenerator[Body]]:
    """Open a watch, and yield its events until the server ends it."""

    async def events(
        resource: Resource, namespace: str, since: str, *, labels: str = "", seconds: int = 600
    ) -> AsyncGenerator[Body]:
        if isinstance(wire, Line):
            try:
                stream = wire.watch(resource, namespace, labels, int(since), seconds=seconds)
            except Refused as refusal:
                yield {"type": "ERROR", "object": refusal.body()}
                return
            with suppress(EOFError):
                while True:
                    yield await stream.take()
            return
        selector = (("labelSelector", labels),) if labels else ()
        asked = requests.watch(resource, namespace=namespace, version=since, seconds=seconds)
        async with aclosing(wire.lines(replace(asked, query=asked.query + selector))) as lines:
            async for line in lines:
                yield json.loads(line)

    return events


@pytest.fixture
def api(transport) -> KubeApi:
    return KubeApi(transport, OpenGate(), field_manager=MANAGER)


@pytest.fixture
def other(transport) -> KubeApi:
    """Return another user."""
    return KubeApi(transport, OpenGate(), field_manager="kubectl")


def route(namespace: str, *, weight: int) -> Body:
    return {
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80, "weight": weight}]}]},
    }


def config_map(namespace: str, name: str = "a", **data: str) -> Body:
    labels = {"of": "test"}
    return {"metadata": {"namespace": namespace, "name": name, "labels": labels}, "data": data}


def deployment(namespace: str, **variables: str) -> Body:
    container = {
        "name": "server",
        "image": "registry.example/a:1",
        "ports": [{"name": "http", "containerPort": 3000, "protocol": "TCP"}],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "metadata": {
            "namespace": namespace,
            "name": "web",
            "labels": {"a": "b"},
            "annotations": {"sluicegate.dev/inputs-hash": "1"},
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]},
            },
        },
    }


def product(namespace: str, **spec: Any) -> Body:
    body = document(**spec)
    return {"metadata": {"namespace": namespace, "name": "search"}, "spec": body["spec"]}


def status(body: Body, **parts: Any) -> Body:
    meta = body["metadata"]
    named = {"namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
    return {"metadata": named, "status": parts}


def condition(kind: str, reason: str = "Serving") -> Body:
    moment = "2026-01-01T00:00:00Z"
    return {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": moment}


def version(body: Body) -> str:
    return str(body["metadata"]["resourceVersion"])


KINDS: dict[str, tuple[Resource, Callable[[str], Body]]] = {
    "ConfigMap": (CONFIG_MAPS, config_map),
    "Deployment": (DEPLOYMENTS, deployment),
    "DataProduct": (DATA_PRODUCTS, product),
}


# ---- versions and preconditions -----------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
async def test_an_apply_that_requires_absence_creates_an_object_once(api, namespace, kind):
    resource, build = KINDS[kind]
    await api.apply(resource, build(namespace), resource_version=ABSENT_VERSION)
    with pytest.raises(errors.Conflict):
        await api.apply(resource, build(namespace), resource_version=ABSENT_VERSION)


@pytest.mark.parametrize("kind", ["ConfigMap", "DataProduct"])  # a Deployment's controller writes
async def test_an_apply_with_the_uid_of_a_deleted_object_creates_no_object(api, namespace, kind):
    resource, build = KINDS[kind]
    wish = build(namespace)
    live = await api.apply(resource, wish)
    key = Key(namespace, live["metadata"]["name"])
    observed = wish | {"metadata": wish["metadata"] | {"uid": live["metadata"]["uid"]}}
    live = await api.apply(resource, observed, resource_version=version(live))
    await api.delete(resource, key)
    with pytest.raises(errors.Conflict):
        await api.apply(resource, observed, resource_version=version(live))
    with pytest.raises(errors.NotFound):
        await api.get(resource, key)


async def test_a_write_at_another_version_is_a_conflict_and_changes_nothing(api, namespace):
    first = await api.apply(CONFIG_MAPS, config_map(namespace, b="1"))
    second = await api.apply(
        CONFIG_MAPS, config_map(namespace, b="2"), resource_version=version(first)
    )
    assert int(version(second)) > int(version(first))
    with pytest.raises(errors.Conflict):
        await api.apply(CONFIG_MAPS, config_map(namespace, b="3"), resource_version=version(first))
    with pytest.raises(errors.Conflict):
        await api.patch(
            CONFIG_MAPS, Key(namespace, "a"), {"data": {"b": "3"}}, resource_version=version(first)
        )
    assert await api.get(CONFIG_MAPS, Key(namespace, "a")) == second


async def test_a_write_for_another_object_of_that_name_is_a_conflict(api, namespace):
    desired = config_map(namespace, b="1")
    strange = desired | {"metadata": desired["metadata"] | {"uid": "of-another"}}
    with pytest.raises(errors.Conflict):
        await api.apply(CONFIG_MAPS, strange)
    body = await api.apply(CONFIG_MAPS, desired)
    with pytest.raises(errors.Invalid):
        await api.apply(CONFIG_MAPS, strange, resource_version=version(body))
    with pytest.raises(errors.Conflict):
        await api.apply(CONFIG_MAPS, strange, resource_version="2")
    assert await api.get(CONFIG_MAPS, Key(namespace, "a")) == body


async def test_an_apply_without_a_change_keeps_the_resource_version(api, namespace):
    first = await api.apply(CONFIG_MAPS, config_map(namespace, b="1"))
    again = await api.apply(
        CONFIG_MAPS, config_map(namespace, b="1"), resource_version=version(first)
    )
    assert version(again) == version(first)
    made = await api.apply(DEPLOYMENTS, deployment(namespace, A="1"))
    again = await api.apply(DEPLOYMENTS, deployment(namespace, A="1"))
    assert again["metadata"]["generation"] == made["metadata"]["generation"] == 1


async def test_a_deletion_requires_the_observed_uid_and_version(api, namespace):
    body = await api.create(CONFIG_MAPS, config_map(namespace))
    key = Key(namespace, "a")
    with pytest.raises(errors.Conflict):
        await api.delete(CONFIG_MAPS, key, uid="of-another")
    with pytest.raises(errors.Conflict):
        await api.delete(CONFIG_MAPS, key, resource_version="1")
    await api.delete(CONFIG_MAPS, key, uid=body["metadata"]["uid"], resource_version=version(body))
    with pytest.raises(errors.NotFound):
        await api.get(CONFIG_MAPS, key)
    with pytest.raises(errors.NotFound):
        await api.delete(CONFIG_MAPS, key)


async def test_an_object_is_created_once_and_replaced_at_its_version(api, namespace):
    body = await api.create(CONFIG_MAPS, config_map(namespace, b="1"))
    with pytest.raises(errors.AlreadyExists):
        await api.create(CONFIG_MAPS, config_map(namespace, b="2"))
    meta = {"resourceVersion": version(body)}
    wish = config_map(namespace, c="3")
    wish["metadata"] |= meta
    assert (await api.replace(CONFIG_MAPS, wish))["data"] == {"c": "3"}
    with pytest.raises(errors.Conflict):
        await api.replace(CONFIG_MAPS, wish)


async def test_a_write_into_a_missing_namespace_fails(api):
    with pytest.raises(errors.NotFound):
        await api.apply(CONFIG_MAPS, config_map("nowhere", b="1"))
    with pytest.raises(errors.NotFound):
        await api.create(CONFIG_MAPS, config_map("nowhere", b="1"))


async def test_two_replicas_that_take_a_lease_at_the_same_version_get_one_conflict(
    transport, namespace
):
    store = LeaseStore(transport, Key(namespace, "lease"))
    assert await store.read() is None
    first = await store.write(LeaseRecord(holder="a"))
    second = await store.write(replace(first, holder="b"))
    assert second.holder == "b"
    with pytest.raises(errors.Conflict):
        await store.write(replace(first, holder="c"))
    with pytest.raises(errors.AlreadyExists):
        await store.write(LeaseRecord(holder="b"))


# ---- who owns which field -----------------------------------------------------------------------
async def test_an_applied_object_is_owned_as_sent_whatever_other_managers_add(
    api, other, namespace
):
    wish = deployment(namespace, A="1", B="2")
    body = await api.apply(DEPLOYMENTS, wish)
    assert owned_fingerprint(body, MANAGER) == fingerprint(wish)
    theirs = {"metadata": {"annotations": {"by": "somebody"}}}
    body = await other.patch(DEPLOYMENTS, Key(namespace, "web"), theirs)
    assert owned_fingerprint(body, MANAGER) == fingerprint(wish)
    service = {
        "metadata": {"namespace": namespace, "name": "web", "labels": {"a": "b"}},
        "spec": {"selector": {"a": "b"}, "ports": [{"name": "http", "port": 80}]},
    }
    body = await api.apply(SERVICES, service)
    assert owned_part(body, MANAGER)["spec"]["selector"] == {"a": "b"}


async def test_the_time_of_the_last_change_by_a_field_manager_is_readable(api, other, namespace):
    """A route that is applied again as it was, or labelled by another user, moved no traffic."""
    first = written_at(await api.apply(HTTP_ROUTES, route(namespace, weight=100)), MANAGER)
    assert first > 0
    await other.patch(HTTP_ROUTES, Key(namespace, "web"), {"metadata": {"labels": {"a": "b"}}})
    weight, last = 100, first
    while last == first:  # it is known to the second
        same = await api.apply(HTTP_ROUTES, route(namespace, weight=weight))
        assert written_at(same, MANAGER) == last
        weight = 99 if weight == 100 else 100
        last = written_at(await api.apply(HTTP_ROUTES, route(namespace, weight=weight)), MANAGER)


async def test_a_field_that_is_no_longer_applied_is_removed_unless_another_manager_owns_it(
    api, other, namespace
):
    await api.apply(DEPLOYMENTS, deployment(namespace, A="1", B="2"))
    key = Key(namespace, "web")
    await other.patch(DEPLOYMENTS, key, {"metadata": {"labels": {"theirs": "x"}}})
    wish = deployment(namespace, B="2")
    del wish["metadata"]["annotations"]
    body = await api.apply(DEPLOYMENTS, wish)
    assert body["metadata"]["labels"] == {"a": "b", "theirs": "x"}
    assert "sluicegate.dev/inputs-hash" not in (body["metadata"].get("annotations") or {})
    (container,) = body["spec"]["template"]["spec"]["containers"]
    assert [variable["name"] for variable in container["env"]] == ["B"]
    assert body["metadata"]["generation"] == 2


async def test_a_manual_edit_takes_over_a_field_and_the_next_apply_restores_it(
    api, other, namespace
):
    wish = deployment(namespace, A="1")
    await api.apply(DEPLOYMENTS, wish)
    edited = await other.patch(DEPLOYMENTS, Key(namespace, "web"), {"spec": {"replicas": 5}})
    assert owned_fingerprint(edited, MANAGER) != fingerprint(wish)
    assert "replicas" not in owned_part(edited, MANAGER)["spec"]
    body = await api.apply(DEPLOYMENTS, wish)
    assert body["spec"]["replicas"] == 2
    assert owned_fingerprint(body, MANAGER) == fingerprint(wish)


async def test_a_field_applied_by_two_managers_stays_when_one_stops_applying_it(
    api, other, namespace
):
    await api.apply(CONFIG_MAPS, config_map(namespace, b="1", c="1"))
    await other.patch(CONFIG_MAPS, Key(namespace, "a"), {"data": {"d": "1"}})
    body = await api.apply(CONFIG_MAPS, config_map(namespace, c="1"))
    assert body["data"] == {"c": "1", "d": "1"}


async def test_a_dry_run_stores_nothing(api, namespace):
    body = await api.try_apply(CONFIG_MAPS, config_map(namespace, b="1"))
    assert body["data"] == {"b": "1"}
    with pytest.raises(errors.NotFound):
        await api.get(CONFIG_MAPS, Key(namespace, "a"))


async def test_the_selector_of_a_deployment_is_immutable(api, namespace):
    await api.apply(DEPLOYMENTS, deployment(namespace))
    wish = deployment(namespace)
    wish["spec"]["selector"] = {"matchLabels": {"a": "c"}}
    wish["spec"]["template"]["metadata"]["labels"] = {"a": "c"}
    with pytest.raises(errors.Invalid, match="immutable"):
        await api.apply(DEPLOYMENTS, wish)


# ---- products -----------------------------------------------------------------------------------
async def test_a_product_is_stored_pruned_and_with_its_defaults(other, namespace):
    wish = product(namespace)
    wish["spec"]["unknown"] = 1
    body = await other.create(DATA_PRODUCTS, wish | {"status": {"state": "Healthy"}})
    assert "unknown" not in body["spec"]
    assert body["status"] == {"observedGeneration": -1}
    assert body["metadata"]["generation"] == 1
    assert body["spec"]["analysis"]["blockSeconds"] == 60
    assert body["spec"]["lifecycle"] == "Development"


async def test_a_status_write_does_not_change_the_generation(api, other, namespace):
    body = await other.create(DATA_PRODUCTS, product(namespace))
    told = status(body, conditions=[condition("Ready")], state="Healthy")
    after = await api.apply_status(DATA_PRODUCTS, told, resource_version=version(body))
    assert after["status"]["state"] == "Healthy"
    assert after["metadata"]["generation"] == 1
    edited = await other.patch(
        DATA_PRODUCTS, Key(namespace, "search"), {"spec": {"priority": "High"}, "status": None}
    )
    assert edited["metadata"]["generation"] == 2
    assert edited["status"]["state"] == "Healthy"
    with pytest.raises(errors.Conflict):
        await api.apply_status(DATA_PRODUCTS, told, resource_version=version(body))


async def test_a_status_field_that_is_no_longer_applied_is_removed(api, other, namespace):
    body = await other.create(DATA_PRODUCTS, product(namespace))
    two = [condition("Ready"), condition("Stalled", "ModelRejected")]
    traffic = {
        "mode": "Gateway", "weight": 5, "verification": "Accepted", "writeTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    first = await api.apply_status(
        DATA_PRODUCTS, status(body, conditions=two, traffic=traffic), resource_version=None
    )
    assert [one["type"] for one in first["status"]["conditions"]] == ["Ready", "Stalled"]
    second = await api.apply_status(
        DATA_PRODUCTS, status(body, conditions=two[:1]), resource_version=version(first)
    )
    assert [one["type"] for one in second["status"]["conditions"]] == ["Ready"]
    assert not second["status"].get("traffic")


async def test_a_status_write_for_a_missing_object_is_refused(api, namespace):
    missing = {"metadata": {"namespace": namespace, "name": "search"}, "status": {}}
    with pytest.raises(errors.NotFound):
        await api.apply_status(DATA_PRODUCTS, missing, resource_version=None)


BENTO = {"image": image("a"), "version": "v1", "service": "Search"}
WRONG: dict[str, Body] = {
    "no owner": {"owner": None},
    "no model": {"model": None},
    "an unknown word": {"priority": "Urgent"},
    "a wrong type": {"analysis": {"blockSeconds": "60"}},
    "too small": {"analysis": {"blockSeconds": 1}},
    "no pattern": {"version": "one"},
    "steps that fall": {"rollout": {"steps": [25, 5]}},
    "two slos of one name": {
        "slos": [
            {"name": "a", "indicator": {"availability": {}}, "objective": "0.9"},
            {"name": "a", "indicator": {"outcomes": {}}, "objective": "0.9"},
        ]
    },
    "two indicators": {
        "slos": [
            {
                "name": "a",
                "indicator": {"availability": {}, "outcomes": {}},
                "objective": "0.9",
            }
        ]
    },
    "replicas and autoscaling": {
        "serving": {"replicas": 1, "autoscaling": {"minReplicas": 1, "maxReplicas": 2}}
    },
    "image and url": {"model": {"bento": {**BENTO, "url": "https://a.example/b"}}},
    "production without a manager": {"lifecycle": "Production"},
    "too many links": {
        "links": [{"url": f"https://a.example/{n}", "title": "a"} for n in range(40)]
    },
}


@pytest.mark.parametrize("wrong", WRONG, ids=str)
async def test_an_invalid_spec_is_refused_by_the_api_server(other, namespace, wrong):
    wish = product(namespace)
    wish["spec"] |= WRONG[wrong]
    wish["spec"] = {name: part for name, part in wish["spec"].items() if part is not None}
    with pytest.raises(errors.Invalid):
        await other.create(DATA_PRODUCTS, wish)
    with pytest.raises(errors.NotFound):
        await other.get(DATA_PRODUCTS, Key(namespace, "search"))


WRONG_STATUS: dict[str, Body] = {
    "an unknown phase": {"state": "Sleeping"},
    "a condition without a reason": {
        "conditions": [{"type": "Ready", "status": "True"}],
    },
    "two conditions of one type": {"conditions": [condition("Ready"), condition("Ready")]},
    "too many conditions": {"conditions": [condition(f"Kind{n}") for n in range(40)]},
}


@pytest.mark.parametrize("wrong", WRONG_STATUS, ids=str)
async def test_an_invalid_status_is_refused_by_the_api_server(api, other, namespace, wrong):
    body = await other.create(DATA_PRODUCTS, product(namespace))
    with pytest.raises(errors.KubeError):
        await api.apply_status(
            DATA_PRODUCTS, status(body, **WRONG_STATUS[wrong]), resource_version=None
        )


async def test_a_product_with_a_too_long_name_is_refused(other, namespace):
    wish = product(namespace)
    wish["metadata"]["name"] = "a" * 41
    with pytest.raises(errors.Invalid):
        await other.create(DATA_PRODUCTS, wish)


# ---- lists and kinds ----------------------------------------------------------------------------
async def test_a_paginated_list_is_consistent_and_filtered_by_labels(api, namespace):
    for number in range(5):
        await api.create(CONFIG_MAPS, config_map(namespace, f"m{number}"))
    unlabelled = config_map(namespace, "z")
    del unlabelled["metadata"]["labels"]
    await api.create(CONFIG_MAPS, unlabelled)
    seen, versions = [], set()
    async for page in api.pages(CONFIG_MAPS, namespace=namespace, labels="of=test", chunk=2):
        seen += [item["metadata"]["name"] for item in page.items]
        versions.add(page.resource_version)
    assert seen == [f"m{number}" for number in range(5)]
    assert len(versions) == 1


async def test_discovery_reports_which_kinds_are_served(api):
    assert await api.served(DATA_PRODUCTS)
    assert await api.served(CONFIG_MAPS)
    assert not await api.served(Resource("example.com", "v1", "unknowns", "Unknown"))


async def test_a_response_has_the_time_of_the_api_server(api, namespace):
    before = time.time()
    await api.apply(CONFIG_MAPS, config_map(namespace, b="1"))
    second = 1.0  # what a Date leaves out
    assert before - second <= api.server_time() <= time.time()


# ---- events -------------------------------------------------------------------------------------
async def test_an_event_is_created_for_its_object_and_a_repeat_increases_its_count(api, namespace):
    recorder = EventRecorder(api, boot_seconds, instance_name="test")
    subject = EventSubject(CONFIG_MAPS, Key(namespace, "a"), "uid-1")
    for times in (1, 2):
        for _ in range(times):
            recorder.record(Note(subject, "Advanced", "Advance", "weight 5"))
        await recorder.flush()
    pages = api.pages(EVENTS, namespace=namespace)
    (event,) = [item async for page in pages for item in page.items]
    assert (event["reason"], event["note"]) == ("Advanced", "weight 5")
    assert (event["regarding"]["name"], event["series"]["count"]) == ("a", 3)


# ---- watches ------------------------------------------------------------------------------------
async def test_a_watch_sends_each_change_of_its_namespace_once_and_in_order(api, watch, namespace):
    first = await api.apply(HTTP_ROUTES, route(namespace, weight=1))
    async with aclosing(watch(HTTP_ROUTES, namespace, version(first))) as events:
        await api.apply(HTTP_ROUTES, route("default", weight=1))
        second = await api.apply(HTTP_ROUTES, route(namespace, weight=2))
        assert await anext(events) == {"type": "MODIFIED", "object": second}
        await api.apply(HTTP_ROUTES, route(namespace, weight=2))  # changes nothing
        await api.delete(HTTP_ROUTES, Key("default", "web"))
        await api.delete(HTTP_ROUTES, Key(namespace, "web"))
        deleted = await anext(events)
        third = await api.apply(HTTP_ROUTES, route(namespace, weight=3))
        assert await anext(events) == {"type": "ADDED", "object": third}
    at = {"resourceVersion": version(deleted["object"])}
    last = second | {"metadata": second["metadata"] | at}
    assert deleted == {"type": "DELETED", "object": last}
    assert int(version(second)) < int(version(last)) < int(version(third))


async def test_a_label_change_adds_an_object_to_a_watch_or_deletes_it_from_the_watch(
    api, other, watch, namespace
):
    plain = config_map(namespace)
    labels = plain["metadata"].pop("labels")
    created = await api.create(CONFIG_MAPS, plain)
    changes: list[Body] = [
        {"metadata": {"labels": labels}}, {"data": {"b": "1"}}, {"metadata": {"labels": None}}
    ]  # fmt: skip
    written = [await other.patch(CONFIG_MAPS, Key(namespace, "a"), change) for change in changes]
    since = version(created)
    async with aclosing(watch(CONFIG_MAPS, namespace, since, labels="of=test")) as events:
        told = [await anext(events) for _ in written]
    assert [one["type"] for one in told] == ["ADDED", "MODIFIED", "DELETED"]
    assert [version(one["object"]) for one in told] == [version(one) for one in written]
    assert told[-1]["object"]["metadata"]["labels"] == labels, "as it was"


async def test_a_watch_from_an_expired_version_gets_410_and_a_new_list_gives_the_version_to_start_from(
    api, other, watch, namespace
):
    await other.create(DATA_PRODUCTS, product(namespace))
    async with aclosing(watch(DATA_PRODUCTS, namespace, "1")) as events:
        (told,) = [event async for event in events]
    assert told["type"] == "ERROR"
    assert (told["object"]["code"], told["object"]["reason"]) == (410, "Expired")
    (page,) = [page async for page in api.pages(DATA_PRODUCTS, namespace=namespace)]
    change = {"spec": {"priority": "High"}}
    edited = await other.patch(DATA_PRODUCTS, Key(namespace, "search"), change)
    async with aclosing(watch(DATA_PRODUCTS, namespace, page.resource_version)) as events:
        assert await anext(events) == {"type": "MODIFIED", "object": edited}


async def test_a_watch_ends_with_a_bookmark_from_which_the_next_one_continues(
    api, watch, namespace
):
    first = await api.apply(HTTP_ROUTES, route(namespace, weight=1))
    told: list[Body] = []
    while not told:  # a server without a core for the two seconds before the end leaves it out
        async with aclosing(watch(HTTP_ROUTES, namespace, version(first), seconds=4)) as events:
            told = [event async for event in events]
    assert {one["type"] for one in told} == {"BOOKMARK"}
    since = version(told[-1]["object"])
    assert int(since) >= int(version(first))
    second = await api.apply(HTTP_ROUTES, route(namespace, weight=2))
    async with aclosing(watch(HTTP_ROUTES, namespace, since)) as events:
        assert await anext(events) == {"type": "MODIFIED", "object": second}


# ---- too many requests --------------------------------------------------------------------------
FLOWS = "flowcontrol.apiserver.k8s.io/v1"


def one_at_a_time(namespace: str) -> list[Body]:
    """Return a user, named as the namespace, whose priority level has no seats.

    Such a level carries out a request as long as it carries out no other, and queues none.
    """
    everything = {name: ["*"] for name in ("verbs", "apiGroups", "resources", "namespaces")}
    user = {"kind": "User", "user": {"name": namespace}}
    limited = {"nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0}
    rbac = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": FLOWS, "kind": "PriorityLevelConfiguration", "metadata": {"name": namespace},
            "spec": {
                "type": "Limited", "limited": limited | {"limitResponse": {"type": "Reject"}},
            },
        },
        {
            "apiVersion": FLOWS, "kind": "FlowSchema", "metadata": {"name": namespace},
            "spec": {
                "priorityLevelConfiguration": {"name": namespace}, "matchingPrecedence": 2,
                "rules": [{"subjects": [user], "resourceRules": [everything]}],
            },
        },
        {
            "apiVersion": f"{rbac}/v1", "kind": "RoleBinding",
            "metadata": {"name": namespace, "namespace": namespace},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": namespace}],
        },
    ]  # fmt: skip


async def hold_a_seat(url: str, body: Body, held: asyncio.Event, ends: asyncio.Event) -> int:
    """Create an object, of which the server waits for the body; return the status of the answer."""

    async def sent() -> AsyncIterator[bytes]:
        held.set()  # the server, which carries the request out by now, asks for the body
        await ends.wait()
        yield json.dumps(body).encode()

    connector = aiohttp.TCPConnector(ssl=tls_of(await login()))
    async with (
        aiohttp.ClientSession(connector=connector, headers={"Content-Type": JSON}) as session,
        session.post(url, data=sent(), expect100=True) as answer,
    ):
        return answer.status


@pytest.fixture
async def seat(wire, control_plane, monkeypatch, namespace) -> AsyncIterator[asyncio.Event]:
    """Yield another request has the only seat of this client's until the event is set."""
    ends = asyncio.Event()
    if isinstance(wire, Line):
        wire.network.faults["crowd"] = lambda *_: None if ends.is_set() else Crowded()
        yield ends
        return
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig_for(namespace)))
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": one_at_a_time(namespace)})
    uids = ("-o", "jsonpath={.metadata.uid} ")
    level = control_plane.kubectl("create", "-f", "-", *uids, stdin=listed).split()[0]

    async def in_force() -> bool:
        status, _, headers = await wire.exchange(
            requests.get_request(CONFIG_MAPS, Key(namespace, "a"))
        )
        return (status, headers["X-Kubernetes-PF-PriorityLevel-UID"]) == (404, level)

    while not await in_force():  # noqa: ASYNC110  # the server notifies no client
        await asyncio.sleep(0.05)
    held, url = asyncio.Event(), control_plane.url + CONFIG_MAPS.path(namespace)
    holding = asyncio.create_task(hold_a_seat(url, config_map(namespace, "other"), held, ends))
    async with asyncio.timeout(30):
        await held.wait()
    yield ends
    ends.set()
    assert await holding == 201
    await wire.close()
    control_plane.kubectl("delete", "-f", "-", stdin=listed)


async def test_a_client_waits_for_the_retry_after_of_a_429_before_it_writes(seat, wire, namespace):
    status, body, headers = await wire.exchange(
        requests.get_request(CONFIG_MAPS, Key(namespace, "a"))
    )
    assert (status, headers["Retry-After"]) == (429, "1")
    assert (headers["Content-Type"], body) == (
        "text/plain; charset=utf-8",
        b"Too many requests, please try again later.\n",
    )
    clock = ManualClock()
    transport = Transport(wire, clock=clock)
    api = KubeApi(transport, OpenGate(), field_manager=MANAGER)
    wish = config_map(namespace, b="1")
    with pytest.raises(errors.TooManyRequests, match=r": 429: .* try again later\.\Z") as refused:
        await api.apply(CONFIG_MAPS, wish, resource_version=ABSENT_VERSION)
    assert transport.backpressure.left == refused.value.retry_after == 1
    seat.set()
    written = None
    while written is None:  # the server releases the seat in its time
        clock.now += transport.backpressure.left
        with suppress(errors.TooManyRequests):
            written = await api.apply(CONFIG_MAPS, wish, resource_version=ABSENT_VERSION)
    assert written["data"] == {"b": "1"}

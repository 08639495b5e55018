"""Objects that an older or laxer definition let in stop no leader, and no other product."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct, read_status
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.reconcile.live.product import ProductRecord, product_record
from sluicegate.runtime.interfaces import InvalidSpec
from sluicegate.settings import Settings
from tests.support.apiserver.built_controller import build_controller, reconciler_of
from tests.support.decisions.rollout_world import document
from tests.support.samples.product_examples import example, full_status

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = Key("catalog", "search")
TEMPLATE = {
    "metadata": {"labels": {"team": "search"}},
    "spec": {
        "containers": [{"name": "trainer", "command": ["train"], "env": [{"name": "A"}]}],
        "volumes": [{"name": "data", "emptyDir": {}}],
    },
}


def nested(levels: int) -> Any:
    """Return this many nested lists."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


WRONG = (
    *(None, "web", ["web"], {"web": ["web"]}, [], {}, 7, -0.5, True, nested(300), [None], [[]]),
    *(10**30, -(10**9), "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1e999"),
)


def whole() -> dict[str, Any]:
    """Return a valid product that says as much as it can, with a status that does."""
    body = example()
    body["spec"]["retraining"] = {
        **{key: value for key, value in body["spec"]["retraining"].items() if key != "command"},
        "podTemplate": TEMPLATE,
    }
    body["spec"]["serving"]["affinity"] = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}
        }
    }
    body["metadata"]["annotations"] = {"sluicegate.dev/promote": "v1/now"}
    return {**body, "status": full_status()}


def paths(value: Any, at: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield where each part of a document lies, itself included."""
    yield at
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for name, part in parts:
            yield from paths(part, (*at, name))


def replaced(body: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """Return the document with another value there."""
    changed = json.loads(json.dumps(body))
    target: Any = changed
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return changed


def stored(body: dict[str, Any], number: int) -> dict[str, Any]:
    """Return an object of the API server with a name of its own."""
    meta = {
        **body["metadata"],
        "name": f"m{number}",
        "namespace": "tenant",
        "uid": f"uid-{number}",
        "generation": 1,
        "creationTimestamp": "2026-02-01T00:00:00Z",
    }
    return {**body, "metadata": meta}


def malformed() -> list[dict[str, Any]]:
    """Return products of whose spec, status or annotations one part is of another type."""
    body, found = whole(), []
    at = [
        *paths(body["spec"], ("spec",)),
        *paths(body["status"], ("status",)),
        *paths(body["metadata"]["annotations"], ("metadata", "annotations")),
    ]
    for number, path in enumerate([*(one for one in at if len(one) < 4), *at[::3]]):
        value = WRONG[number * 5 % len(WRONG)]  # its neighbours meet the others
        found.append(stored(replaced(body, path, value), len(found)))
    for path in (
        ("spec",),
        ("status",),
        ("spec", "route"),
        ("status", "slos"),
        ("status", "retraining"),
    ):
        found += [
            stored(replaced(body, path, value), len(found) + n) for n, value in enumerate(WRONG)
        ]
    return found


SETTINGS = Settings(
    default_runtime_image=f"registry.example/runtime@sha256:{'d' * 64}", scrape_interval_seconds=15
)


@pytest.mark.slow
async def test_malformed_products_do_not_affect_the_leader_or_other_products(server):
    bodies = malformed()
    controller = build_controller(server.api, SETTINGS)
    reconciler = reconciler_of(controller)
    caches = reconciler.reader.observer.caches
    for body in [*bodies, deepcopy(document())]:
        spec = body["spec"]
        if isinstance(spec, dict) and isinstance(spec.get("route"), dict):
            # Else all would be rivals.
            spec["route"]["hostnames"] = [f"{body['metadata']['name']}.example"]
        caches.written(DATA_PRODUCTS, server.keep(DATA_PRODUCTS, body))
    assert len(caches.products) == len(bodies) + 1, "all have a record"
    await controller.begin()
    refused = 0
    for body in bodies:
        key = Key("tenant", body["metadata"]["name"])
        try:
            await reconciler.reconcile(key)
        except InvalidSpec:
            refused += 1
    assert 80 < refused < len(bodies) - 80, "some specs are wrong, and some statuses"
    server.sent.clear()
    await reconciler.reconcile(GOOD)
    assert any("/deployments/" in write.path for write in server.writes), "the good one is served"
    controller.before_scrape()


def record_of(**parts: Any) -> ProductRecord:
    body = stored(document(), 0) | parts
    return product_record({**body, "metadata": body["metadata"] | {"resourceVersion": "7"}})


def problems_of(record: ProductRecord) -> str:
    with pytest.raises(InvalidProduct) as refusal:
        record.parse()
    return str(refusal.value)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("web", "spec: is a string, but must be an object: write its fields"),
        (["web"], "spec: is a list, but must be an object: write its fields"),
        (
            {"serving": {"affinity": nested(100)}},
            "spec.serving: has more than 64 levels: flatten it",
        ),
    ],
    ids=["text", "list", "deep"],
)
def test_an_unreadable_spec_is_refused_with_the_field_and_the_way_out(spec, says):
    assert says in problems_of(record_of(spec=spec))


def test_a_spec_beyond_64_kib_is_refused_by_its_largest_field_and_isnt_kept():
    serving = {"affinity": {"junk": "x" * 1_300_000}, "replicas": 2}
    record = record_of(spec={**document()["spec"], "serving": serving})
    assert problems_of(record).startswith("spec.serving.affinity.junk: spec has 130")
    assert "keep all to 65536" in problems_of(record)
    assert len(record.packed_spec) < 100


def test_a_document_with_too_many_levels_beside_its_spec_is_refused():
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(InvalidProduct, match="more than 64 levels"):
        DataProduct.parse(document() | {"extra": deep})


def test_a_number_beyond_any_float_counts_as_absent_from_a_status():
    baseline = {"bad": 1, "total": 2, "startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T01:00:00Z",
                "source": "Production", "dispersion": 10**400}  # fmt: skip
    status = {"observedGeneration": 3, "engine": {"originalBaseline": {"slos": {"a": baseline}}}}
    assert read_status(status).observed_generation == 3


def test_a_spec_of_64_kib_is_kept():
    size = len(json.dumps(document()["spec"], separators=(",", ":")))
    support = '"links":[{"url":"https://a/"}],'
    env = [
        {"name": f"N{number}", "value": "x" * 4000}
        for number in range((64 * 1024 - size - len(support)) // 4100)
    ]
    spec = document()["spec"]
    spec["serving"] = {**spec["serving"], "env": env}
    assert record_of(spec=spec).parse().spec.serving.env


def test_a_request_annotation_that_is_too_long_is_reported_and_the_spec_is_kept():
    meta = stored(document(), 0)["metadata"] | {"annotations": {"sluicegate.dev/abort": "x" * 9999}}
    record = record_of(metadata=meta)
    assert record.requests == ()
    assert "metadata.annotations[sluicegate.dev/abort]: must be a token" in str(
        record.request_problem
    )
    assert record.parse().spec.model.bento.version == "v1"


def test_a_status_beyond_all_bounds_counts_as_lost():
    record = record_of(status={"message": nested(5000)})
    assert record.status.stable is None


def test_the_latest_representable_time_survives_a_round_trip_through_status():
    last = read_status({"engine": {"outageStartTime": "9999-12-31T23:59:59.999999Z"}})
    assert last.to_dict()["engine"]["outageStartTime"] == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("field", "word", "lost"),
    [
        ("state", "Splendid", {"state"}),
        ("candidate", {"phase": "Soaring"}, {"candidate", "stable"}),
    ],
)
def test_an_unknown_enum_value_in_status_drops_only_the_field_that_has_it(field, word, lost):
    """The whole status was dropped before: history, cooldowns and handled requests, too."""
    status = full_status()
    before = read_status(status)
    known = read_status(status | {field: word})
    absent = {name for name in ("state", "candidate", "stable") if getattr(known, name) is None}
    assert absent == lost
    assert known.history == before.history
    assert known.last_handled == before.last_handled


REASONS = (
    ("retraining", "lastReason"),
    ("candidate", "decisionReason"),
    ("decision", "reason"),
    ("summary", "reason"),
)


@pytest.mark.parametrize("path", REASONS, ids=".".join)
def test_an_unknown_reason_of_a_newer_operator_is_kept(path):
    """The retraining's stopped every reconcile of an older operator."""
    status = full_status()
    part, name = path
    assert name in status[part]
    body = {**status, part: {**status[part], name: "Ascended"}}
    known = read_status(body)
    assert known.to_dict() == {
        **read_status(status).to_dict(),
        part: {**read_status(status).to_dict()[part], name: "Ascended"},
    }


def test_an_unreadable_list_item_of_status_is_dropped():
    status = full_status()
    past = {**status["history"][0], "outcome": "Ascended"}
    known = read_status(status | {"history": [past, *status["history"]]})
    assert known.history == read_status(status).history

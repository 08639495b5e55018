"""Registry, gateway and Prometheus together: a packed bento is served, split and measured."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from cluster import addons
from sluicegate.api.product import DataProduct
from sluicegate.api.versions import Release
from sluicegate.manifests.draw_route import build_draw_route
from sluicegate.manifests.route import Backend as VersionShare
from sluicegate.manifests.route import build_route
from sluicegate.slo.gateway import TRAEFIK_METRIC, backend_of
from sluicegate_service.push import VersionTaken, pack_and_push
from sluicegate_service.upstreams import DRAW_HEADER, draw_headers
from sluicegate_service.version_marks import CONSUMER_HEADER, MARK_HEADER
from tests.support.node.served_bento import (
    CONSUMER,
    container,
    image_volume,
    pod_spec,
    route,
    served_name,
    version_objects,
)
from tests.support.samples.bentos import build_churn
from tests.support.samples.product_examples import changed
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.addons import Addresses
    from cluster.backend import Backend

pytestmark = pytest.mark.timeout(300)
REQUESTS = 1_000
WEIGHTS = {"v1": 95, "v2": 5}


@dataclass(frozen=True)
class World:
    """A cluster with its add-ons, and two versions of a bento in its registry."""

    backend: Backend
    where: Addresses
    namespace: str
    runtime: str
    files: dict[str, Path]
    references: dict[str, str]

    @property
    def releases(self) -> dict[str, Release]:
        """The versions by name, each in the one runtime."""
        return {
            version: Release(version, reference, self.runtime)
            for version, reference in self.references.items()
        }

    @property
    def host(self) -> str:
        return f"churn.{self.namespace}.example"

    def query(self, promql: str) -> list[dict[str, Any]]:
        answer = requests.get(
            f"{self.where.prometheus}/api/v1/query", params={"query": promql}, timeout=10
        )
        return list(answer.json()["data"]["result"])

    def predict(self) -> requests.Response:
        return requests.post(
            f"{self.where.gateway}/predict",
            json={"features": [1, 2, 3]},
            headers={"Host": self.host},
            timeout=30,
        )


def create(backend: Backend, namespace: str, *objects: dict[str, Any]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    backend.run_kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(listed))


def pod(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    never = {"restartPolicy": "Never", **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": never}


def pod_status(backend: Backend, namespace: str, name: str) -> dict[str, Any]:
    read = backend.run_kubectl("get", "pod", name, "-n", namespace, "-o", "json")
    return dict(json.loads(read)["status"])


@pytest.fixture(scope="module")
def world(
    cluster: Backend,
    where: Addresses,
    shared_namespace: str,
    runtime_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> World:
    folder = tmp_path_factory.mktemp("bentos")
    repository = f"{where.registry}/test-{time.time_ns()}/churn"
    files = {version: build_churn(folder, version) for version in WEIGHTS}
    references = {
        version: pack_and_push(path, repository, plain_http=True) for version, path in files.items()
    }
    return World(cluster, where, shared_namespace, runtime_image, files, references)


@pytest.fixture(scope="module")
def split(world: World) -> World:
    """Return both versions are Ready behind one route, 95 to 5."""
    releases = world.releases
    objects = [
        item for release in releases.values() for item in version_objects(release, world.namespace)
    ]
    weights = {served_name(releases[version]): weight for version, weight in WEIGHTS.items()}
    create(world.backend, world.namespace, *objects, route(world.host, weights))
    for name in weights:
        world.backend.run_kubectl(
            *("rollout", "status", f"deployment/{name}", "-n", world.namespace),
            "--timeout=230s",
            timeout=240,
        )
    eventually(lambda: world.predict().status_code == 200, what="an answer through the gateway")
    return world


def counted(world: World) -> dict[str, float]:
    """Return requests to /predict by version, as Prometheus has them now."""
    rows = world.query(
        f'sum by (version) (bentoml_service_request_total{{namespace="{world.namespace}",'
        'product="churn",endpoint="/predict"})'
    )
    return {row["metric"]["version"]: float(row["value"][1]) for row in rows}


def test_starting_the_add_ons_twice_changes_nothing(world: World):
    assert not addons.up(world.backend)


def test_a_bento_mounted_by_digest_is_served_by_a_random_user_through_the_gateway(split: World):
    assert split.predict().json() == 1


def test_metrics_and_probes_are_not_reachable_through_the_route(split: World):
    for path in ("/metrics", "/readyz", "/anything"):
        answer = requests.get(split.where.gateway + path, headers={"Host": split.host}, timeout=10)
        assert answer.status_code == 404, path


def test_route_weights_are_applied_and_requests_counted_by_version(split: World):
    eventually(lambda: set(counted(split)) == set(WEIGHTS), what="series of both versions")
    settled: dict[str, float] = {}

    def still() -> bool:
        """Return two readings more than a scrape apart agree: nothing is on its way."""
        before = dict(settled)
        settled.update(counted(split))
        return before == settled and set(settled) == set(WEIGHTS)

    eventually(still, every=2.5, what="counts that stand still")
    before = dict(settled)
    with requests.Session() as session:
        for _ in range(REQUESTS):
            answer = session.post(
                f"{split.where.gateway}/predict",
                json={"features": [1, 2, 3]},
                headers={"Host": split.host},
                timeout=30,
            )
            assert answer.status_code == 200

    def all_taken() -> dict[str, float]:
        taken = {version: count - before[version] for version, count in counted(split).items()}
        return taken if sum(taken.values()) == REQUESTS else {}

    taken = eventually(all_taken, what="all requests in Prometheus")
    share = taken["v2"] / REQUESTS
    print(f"share of v2: {share:.3f}, wanted {WEIGHTS['v2'] / 100}")
    assert abs(share - WEIGHTS["v2"] / 100) <= 0.01


def test_a_draw_header_selects_the_version_with_any_route_rules(split: World):
    """The precedence that the route of draws needs; a draw for another product has no effect."""
    host = f"drawn.{split.namespace}.example"
    predict = {"path": {"value": "/predict"}}
    rewritten = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    rules = [
        {"matches": [predict | {"headers": [{"name": "x-market", "value": "FR"}]}]},
        {"matches": [predict | {"queryParams": [{"name": "market", "value": "AT"}]}, predict]},
        {"filters": [{"type": "URLRewrite", "urlRewrite": rewritten}], "matches": [{"path": {}}]},
    ]
    listeners = [{"name": "web", "namespace": "gateway"}]
    product = DataProduct.parse(
        changed(
            {
                "metadata.name": "drawn",
                "metadata.namespace": split.namespace,
                "spec.route": {"parentRefs": listeners, "hostnames": [host], "rules": rules},
                "spec.rollout.consumers": {"names": [CONSUMER], "parentRefs": listeners},
            }
        )
    )
    names = {version: served_name(split.releases[version]) for version in WEIGHTS}
    backends = [VersionShare(names[version], weight) for version, weight in WEIGHTS.items()]
    route = product.spec.route
    assert route is not None
    for made in (build_route(product, route, backends), build_draw_route(product, route, backends)):
        assert made is not None
        del made["metadata"]["ownerReferences"]  # no product of this name is there
        create(split.backend, split.namespace, made)
    session = requests.Session()

    def version(headers: dict[str, str], query: str = "") -> str:
        """Return the version that answers, by its mark; empty without an answer."""
        answer = session.post(
            f"{split.where.gateway}/predict{query}",
            json={"features": [1, 2, 3]},
            headers={"Host": host, CONSUMER_HEADER: CONSUMER, **headers},
            timeout=30,
        )
        return answer.headers.get(MARK_HEADER, " ").split()[1] if answer.ok else ""

    upstream = {DRAW_HEADER: f"{split.namespace}/drawn"}
    eventually(lambda: version(draw_headers(0) | upstream) == "v2", what="the route of draws")
    for headers, query in (({"x-market": "FR"}, ""), ({}, "?market=AT"), ({}, "")):
        drawn = [version(draw_headers(draw) | upstream | headers, query) for draw in range(128)]
        assert drawn == ["v2"] * 6 + ["v1"] * 122, "5 % of 128 draws"
    another = draw_headers(0) | {DRAW_HEADER: f"{split.namespace}/churn"}
    assert {version(another) for _ in range(100)} == set(WEIGHTS)


def test_scrape_targets_of_products_have_the_product_labels(split: World):
    def found() -> dict[tuple[str, ...], str]:
        """Return `up` of each target: 0 after a scrape that timed out, until the next one."""
        return {
            tuple(row["metric"][label] for label in ("namespace", "product", "version")): up
            for row in split.query(f'up{{job="products",namespace="{split.namespace}"}}')
            for _, up in [row["value"]]
        }

    desired = {(split.namespace, "churn", version): "1" for version in WEIGHTS}
    eventually(lambda: found() == desired, what=f"{desired}, not {found()}")


def test_the_bentoml_version_metric_is_the_version_of_the_pod(split: World):
    served = f'bentoml_service_request_total{{namespace="{split.namespace}"}}'
    rows = eventually(lambda: split.query(served), what=served)
    assert all(row["metric"]["service_version"] == row["metric"]["version"] for row in rows)
    assert all(row["metric"]["service_name"] == row["metric"]["product"] for row in rows)


@pytest.mark.parametrize(
    "series", ["container_memory_working_set_bytes", "container_cpu_usage_seconds_total"]
)
def test_the_kubelet_metrics_of_product_pods_are_scraped(split: World, series: str):
    selector = f'{series}{{namespace="{split.namespace}",container="server"}}'
    eventually(lambda: len(split.query(selector)) == 2, what=selector)


def test_gateway_metrics_count_requests_by_service(split: World):
    """Under the names by which the operator looks for its versions."""

    def services() -> set[str]:
        rows = split.query("traefik_service_requests_total")
        found = (re.fullmatch(TRAEFIK_METRIC.pattern(), row["metric"]["service"]) for row in rows)
        return {match[1] for match in found if match}

    desired = {
        backend_of(split.namespace, served_name(release)) for release in split.releases.values()
    }
    eventually(lambda: desired <= services(), what=f"{desired} among {services()}")


def test_a_pushed_bento_tag_is_never_overwritten(world: World, tmp_path: Path):
    repository = world.references["v1"].partition("@")[0]
    other = build_churn(tmp_path, "v1")
    with pytest.raises(VersionTaken, match=f"{repository}:v1 is already"):
        pack_and_push(other, repository, plain_http=True)


def test_an_image_pushed_from_a_pod_has_the_same_digest_as_from_the_host_and_can_be_mounted(
    world: World, namespace: str
):
    here, _, digest = world.references["v1"].partition("@")
    path = here.removeprefix(f"{world.where.registry}/")
    repository = f"{world.where.registry_in_pods}/{path}-again"
    program = (
        "from pathlib import Path; from sluicegate_service.push import pack_and_push;"
        f"print(pack_and_push(Path('/bento'), '{repository}', plain_http=True))"
    )

    said = ended(world, namespace, "push", world.references["v1"], program)

    assert said == f"{repository}@{digest}"
    assert world.where.local_name(repository) == f"{here}-again"
    program = "print('bento.yaml' in __import__('os').listdir('/bento'))"
    assert ended(world, namespace, "read", said, program) == "True"


def ended(world: World, namespace: str, name: str, bento: str, program: str) -> str:
    """Return the output of a program in a pod in which a bento is mounted."""
    running = container(name, world.runtime, "python", "-c", program)
    create(world.backend, namespace, pod(name, pod_spec(image_volume(bento), running)))
    eventually(
        lambda: pod_status(world.backend, namespace, name).get("phase") == "Succeeded",
        seconds=90,
        what=f"the end of the pod {name}",
    )
    return world.backend.run_kubectl("logs", name, "-n", namespace).strip()


def test_a_reference_that_does_not_exist_is_named_in_the_pods_state(world: World, namespace: str):
    missing = f"{world.where.registry}/nowhere@sha256:{'0' * 64}"
    server = container("server", world.runtime, "python", "-c", "pass")
    create(world.backend, namespace, pod("missing", pod_spec(image_volume(missing), server)))

    def waiting() -> dict[str, str]:
        statuses = pod_status(world.backend, namespace, "missing").get("containerStatuses", [{}])
        return dict(statuses[0].get("state", {}).get("waiting", {}))

    eventually(
        lambda: waiting().get("reason") in {"ErrImagePull", "ImagePullBackOff"},
        seconds=60,
        what="the pod's state",
    )
    assert missing in waiting()["message"]


def test_a_bento_for_another_runtime_is_refused_with_the_name_of_the_package(
    world: World, namespace: str, tmp_path: Path
):
    path = build_churn(tmp_path, "v9", "scikit-learn==1.0.2", "lightgbm==4.0.0")
    repository = world.references["v1"].partition("@")[0]
    reference = pack_and_push(path, f"{repository}-odd", plain_http=True)
    check = ("python", "-m", "sluicegate_service.runtime_check", "/bento")
    spec = pod_spec(image_volume(reference), container("check", world.runtime, *check))
    create(world.backend, namespace, pod("odd", spec))
    eventually(
        lambda: pod_status(world.backend, namespace, "odd").get("phase") == "Failed",
        seconds=90,
        what="the check",
    )
    ended = pod_status(world.backend, namespace, "odd")["containerStatuses"][0]["state"]
    message = ended["terminated"]["message"]
    assert message.startswith("RuntimeMismatch: lightgbm: wanted ==4.0.0, found nothing; ")
    assert "scikit-learn: wanted ==1.0.2, found 1." in message

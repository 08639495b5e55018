"""A consumer's outcomes decide about a version of the product that it calls through the gateway."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import requests

from cluster.addons.gateway import GATEWAY, NAMESPACE, WEB_PORT
from sluicegate_service.push import pack_and_push
from tests.support.node.learner import SECRET
from tests.support.node.live_product import LiveProduct, says
from tests.support.samples.bentos import build_sample
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.story, pytest.mark.timeout(500)]
LISTENERS = [{"name": GATEWAY, "namespace": NAMESPACE}]
IN_PODS = f"traefik.{NAMESPACE}.svc"
CALLS = 3
DRAWS = "multiplied-draws.sluicegate.dev"
ROUTES = "gateway.networking.k8s.io/v1/httproutes"


@dataclass
class Callers:
    """Two threads that ask the consumer, whose answers need several calls of the upstream."""

    url: str
    host: str
    answers: Counter[int] = field(default_factory=Counter)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def ask(self) -> int:
        """Ask once; the answer's status."""
        body, headers = {"calls": CALLS}, {"Host": self.host}
        answer = requests.post(f"{self.url}/in-turn", json=body, headers=headers, timeout=30)
        return answer.status_code

    def start(self) -> None:
        """Ask until `stop`."""
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(0.05):
            self.answers[self.ask()] += 1


@dataclass(frozen=True)
class Pair:
    """Both products of a namespace, and the images of their bentos."""

    world: Any
    images: dict[str, str]

    def product(self, name: str, version: str, route: dict[str, Any], **spec: Any) -> Any:
        """Return a DataProduct that serves a version of one of the two services."""
        env = spec.pop("env")
        return {
            "apiVersion": "sluicegate.dev/v1alpha1",
            "kind": "DataProduct",
            "metadata": {"name": name},
            "spec": {
                "owner": "group:default/learners",
                "model": {
                    "bento": {
                        "image": self.images[f"{name}-{version}"],
                        "version": version,
                        "service": name.title(),
                    }
                },
                "serving": {
                    "runtimeImage": self.world.runtime,
                    "resources": {"requests": {"cpu": "50m", "memory": "160Mi"}},
                    "preStopSeconds": 2,
                    "feedback": {"secretRef": {"name": SECRET}},
                    "env": [{"name": key, "value": value} for key, value in env.items()],
                },
                "route": {"parentRefs": LISTENERS, **route},
                "analysis": {"blockSeconds": 5},
                **spec,
            },
        }

    def upstream(self, version: str) -> Any:
        """Return the upstream, whose answers are good for itself in each version."""
        up = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.95"}
        return self.product(
            "multiplied",
            version,
            {"hostnames": [IN_PODS], "path": f"/{self.world.namespace}"},
            env={"FACTOR_OF_v1": "2", "FACTOR_OF_v2": "3"},
            slos=[up],
            rollout={
                "steps": [50],
                "consumers": {"names": ["consuming"], "parentRefs": LISTENERS},
            },
        )

    def consumer(self) -> Any:
        """Return the consumer, for which v2 of the upstream is bad."""
        summed = {
            "name": "summed",
            "indicator": {"events": {"lagSeconds": 0}},
            "objective": "0.5",
            "maxDrop": "0.1",
        }
        return self.product(
            "consuming",
            "v1",
            {"hostnames": [self.world.host]},
            env={
                "MULTIPLIED_URL": f"http://{IN_PODS}:{WEB_PORT}/{self.world.namespace}",
                "GOOD_ANSWER": "2",
            },
            slos=[summed],
            dependsOn=[{"name": "multiplied", "evidence": "Required"}],
        )

    def series(self, metric: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the newest value of a counter of the consumer's pods, by labels."""
        query = f'sum by ({",".join(labels)}) ({metric}{{namespace="{self.world.namespace}"}})'
        answer = requests.get(
            f"{self.world.where.prometheus}/api/v1/query", params={"query": query}, timeout=10
        )
        rows = answer.json()["data"]["result"]
        return {
            tuple(row["metric"].get(label, "") for label in labels): float(row["value"][1])
            for row in rows
        }


@pytest.fixture
def pair(world: Any, tmp_path: Path) -> Pair:
    folder = tmp_path / "bentos"
    folder.mkdir()
    images = {}
    for name, version in (("multiplied", "v1"), ("multiplied", "v2"), ("consuming", "v1")):
        repository = f"{world.where.registry}/{world.namespace}/{name}"
        bento = build_sample(name, folder, version)
        images[f"{name}-{version}"] = pack_and_push(bento, repository, plain_http=True)
    return Pair(world, images)


def test_a_version_that_is_worse_for_a_consumer_only_is_rolled_back_by_consumer_outcomes(
    pair: Pair,
):
    world = pair.world
    upstream = LiveProduct(world.backend, world.namespace, "multiplied")
    consumer = LiveProduct(world.backend, world.namespace, "consuming")
    for product, spec in ((upstream, pair.upstream("v1")), (consumer, pair.consumer())):
        product.apply(spec)
    for product in (upstream, consumer):
        product.until_ready()
    callers = Callers(world.where.gateway, world.host)
    eventually(lambda: callers.ask() == 200, what="an answer of the consumer")
    callers.start()
    try:
        eventually(lambda: callers.answers[200] > 200, seconds=60, what="answers")
        assert not pair.series("sluicegate_upstream_requests_total"), "there is no canary"
        upstream.apply(pair.upstream("v2"))
        upstream.until(
            lambda status: (status.get("candidate") or {}).get("weight") == 50, what="a canary"
        )
        eventually(
            lambda: DRAWS in {route["metadata"]["name"] for route in upstream.listed(ROUTES)},
            what="the route of draws",
        )
        upstream.until_reported("v2 is worse in consuming / summed")
        rejected = upstream.until(
            lambda status: (
                (status.get("specModel") or {}).get("outcome") == "RolledBack"
                and not status.get("candidate")
            ),
            what="a rollback",
            seconds=240,
        )
    finally:
        callers.stop()
    by_version = pair.series("sluicegate_upstream_events_total", "upstream_version", "outcome")
    by_result = pair.series("sluicegate_upstream_requests_total", "result")
    print(callers.answers, by_version, by_result, rejected["decision"], sep="\n")

    assert set(callers.answers) == {200}
    assert {route["metadata"]["name"] for route in upstream.listed(ROUTES)} == {
        "multiplied",
        "consuming",
    }
    assert rejected["stable"]["version"] == "v1"
    assert says(rejected, "Stalled")[0] == "ModelRejected"
    assert by_version[("v1", "good")] > 0
    assert by_version[("v2", "bad")] > 0
    assert not by_version.get(("v2", "good"))
    # Those under way at a change of the routes; with weights alone it would be three of four.
    assert by_result[("mixed",)] <= 0.05 * sum(by_result.values())

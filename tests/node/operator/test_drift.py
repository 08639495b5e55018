"""A model decays as the world turns: it is retrained, proves itself, and accuracy is back.

The cluster is one of a company: Prometheus is behind TLS, a token and a tenant, and is reached through
a proxy; the platform assigns the users of pods, and refuses others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.node.assigned_ids import USER, assigned_ids
from tests.support.node.live_product import conditions
from tests.support.prometheus.guarded import TENANT, TOKEN, Guard, forward_proxy, guarded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.addons import Addresses
    from cluster.backend import Backend

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]


@pytest.fixture
def guard(where: Addresses, tmp_path: Path) -> Iterator[Guard]:
    """Yield the reverse proxy before Prometheus, which demands CA, token and tenant."""
    with guarded(where.prometheus, tmp_path) as started:
        yield started


@pytest.fixture
def prometheus(guard: Guard) -> str:
    """Return the only address at which the operator reaches Prometheus."""
    return guard.url


@pytest.fixture
def connections() -> list[str]:
    """Return the addresses to which the forward proxy has connected."""
    return []


@pytest.fixture
def settings(
    cluster: Backend, namespace: str, guard: Guard, connections: list[str], tmp_path: Path
) -> Iterator[dict[str, str]]:
    """Yield the settings that the chart renders for such a cluster."""
    token = tmp_path / "token"
    token.write_text(TOKEN, encoding="utf-8")
    with forward_proxy(connections) as proxy, assigned_ids(cluster, namespace):
        yield {
            "SLUICEGATE_PROMETHEUS_CA_FILE": str(guard.authority),
            "SLUICEGATE_PROMETHEUS_TOKEN_FILE": str(token),
            "SLUICEGATE_PROMETHEUS_TENANT": TENANT,
            "SLUICEGATE_PROMETHEUS_PROXY_URL": proxy,
            "SLUICEGATE_RANDOM_IDS": "true",
        }


def rests(status):
    """Return no rollout and no retraining is under way."""
    return not status.get("candidate") and not (status.get("retraining") or {}).get("trigger")


def test_a_decayed_model_is_retrained_canaried_and_promoted_without_a_failed_request(
    world, guard, connections
):
    env = {"LEARNER_WORLD": "after"}
    world.product.apply(world.spec("v1", retraining=world.retraining(env=env)))
    world.product.until_ready()
    before = world.product.as_people_own_it()
    weights = []

    def seen(status):
        weight = (status.get("candidate") or {}).get("weight")
        if weight and weight not in weights:
            weights.append(weight)
        return status

    with world.visitors(per_second=20) as visitors:
        world.product.until(
            lambda status: conditions(status).get("Degraded") == "False", what="a healthy product"
        )
        visitors.world = "after"
        degraded = world.product.until(
            lambda status: conditions(status)["Degraded"] == "True", seconds=240, what="Degraded"
        )
        trained = world.product.until(
            lambda status: (status.get("retraining") or {}).get("trigger"), what="a retraining"
        )
        world.product.until(
            lambda status: seen(status)["stable"]["version"] == "v2" and rests(status),
            seconds=300,
            what="v2 to be stable",
        )
        mark = visitors.tally.answered
        world.product.until(lambda _: visitors.tally.answered - mark > 500, what="answers of v2")

    status = world.product.status
    assert degraded["stable"]["version"] == "v1"
    assert trained["retraining"]["trigger"]["slo"] == "accuracy"
    assert trained["retraining"]["trigger"]["cause"] == "ModelDecay"
    assert weights == [5, 25, 50, 100]
    assert not visitors.tally.failures
    assert visitors.tally.wrong["v2"] < 0.15 * visitors.tally.versions["v2"]
    assert world.product.as_people_own_it() == before
    assert status["stable"]["source"] == "Retraining"
    assert status["stable"]["baseline"]["accuracy"]["total"] == 10_000
    # The version that serves and those before it: together all that ever did.
    (past,) = status["history"]
    assert (past["version"], past["outcome"]) == ("v1", "Replaced")
    assert past["baseline"]["accuracy"]["total"] > 0
    assert {one["X-Scope-OrgID"] for one in guard.passed} == {TENANT}
    assert set(connections) == {guard.url.removeprefix("https://")}
    users = {one["spec"]["securityContext"]["runAsUser"] for one in world.product.listed("v1/pods")}
    assert users == {USER}

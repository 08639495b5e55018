"""The operator is killed, Prometheus stands still: the loop goes on where it was."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cluster.apiclient import Api

pytestmark = [pytest.mark.story, pytest.mark.timeout(500)]
OUTAGE_SECONDS = 120


def weight_of(status):
    return (status.get("candidate") or {}).get("weight", 0)


def restart(world):
    """Kill the operator without a word and start another."""
    world.operator.kill()
    world.operator.start()


def test_an_operator_that_is_killed_at_each_stage_goes_on_and_does_nothing_twice(world):
    spec = {"rollout": {"steps": [50]}, "retraining": world.retraining()}
    world.product.apply(world.spec("v1", **spec))
    world.product.until_ready()
    weights = []

    def look(status):
        weight = weight_of(status)
        if weight and weight not in weights[-1:]:
            weights.append(weight)
        return status

    with world.visitors() as visitors:
        world.product.annotate("retrain-requested-at", "once")
        world.product.until(lambda _: world.product.listed("batch/v1/jobs"), what="a Job")
        restart(world)
        world.product.until(
            lambda status: weight_of(look(status)) == 50, seconds=180, what="a canary"
        )
        restart(world)
        world.product.until(
            lambda status: (look(status).get("candidate") or {}).get("phase") == "Promoting",
            seconds=180,
            what="a promotion under way",
        )
        restart(world)
        status = world.product.until(
            lambda status: look(status)["stable"]["version"] == "v2" and "candidate" not in status,
            seconds=120,
            what="v2 to be stable",
        )

    assert not visitors.tally.failures
    (job,) = world.product.listed("batch/v1/jobs")
    assert job["status"]["succeeded"] == 1
    assert weights in ([50, 100], [50])
    assert [past["version"] for past in status["history"]] == ["v1"]
    assert status["retraining"]["attempts"] == 0
    deployed = world.product.listed("apps/v1/deployments")
    versions = [one["metadata"]["labels"]["sluicegate.dev/version"] for one in deployed]
    assert sorted(versions) == ["v1", "v2"]
    told = [one["reason"] for one in world.product.listed("events.k8s.io/v1/events")]
    assert told.count("Requested") == told.count("GatePassed") == 1


@contextmanager
def stopped_prometheus(world):
    """Prometheus neither scrapes nor answers, and keeps what it has: its process is suspended."""
    query = "?labelSelector=app.kubernetes.io%2Fname%3Dprometheus"
    pods = Api(world.backend.kubeconfig).get(f"/api/v1/namespaces/monitoring/pods{query}")
    (pod,) = pods["items"]
    uid = pod["metadata"]["uid"]
    processes = [one for one in psutil.process_iter() if belongs_to(one, uid)]
    (server,) = [one for one in processes if one.name() == "prometheus"]
    server.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send_signal(signal.SIGCONT)


def belongs_to(process, uid):
    """Whether a process runs in a container of the pod with this uid."""
    try:
        groups = Path(f"/proc/{process.pid}/cgroup").read_text()
    except OSError:
        return False
    return uid in groups or uid.replace("-", "_") in groups


def test_a_canary_waits_while_prometheus_is_away_and_goes_on_afterwards(world):
    spec = {"rollout": {"steps": [25, 50]}}
    world.product.apply(world.spec("v1", **spec))
    world.product.until_ready()
    seen = []

    def held(status):
        seen.append((weight_of(status), (status.get("candidate") or {}).get("phase")))
        return time.monotonic() - began > OUTAGE_SECONDS

    with world.visitors() as visitors:
        world.product.apply(world.spec("v2-good", **spec))
        world.product.until(
            lambda status: weight_of(status) == 25, seconds=120, what="the canary's first step"
        )
        began = time.monotonic()
        with stopped_prometheus(world):
            status = world.product.until(
                held, seconds=OUTAGE_SECONDS + 30, what="the end of the outage"
            )
        promoted = world.product.until_stable("v2-good", seconds=240)

    assert not visitors.tally.failures
    assert set(seen) == {(25, "Stepping")}
    assert status["stable"]["version"] == "v1"
    unknown = {one["type"]: one["status"] for one in status["conditions"]}
    assert unknown["MetricsAvailable"] == "False"
    assert unknown["Ready"] == "True"
    assert [past["version"] for past in promoted["history"]] == ["v1"]

"""The messenger's own process against a real API server: killed, it sends each message again or not at all."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from cluster.kinds import install_crds
from tests.support.failures.replicas import QUICK_LEASE, ROOT, apply, product
from tests.support.processes.http_server import answering
from tests.support.processes.running import free_port, start
from tests.support.receivers.changing_product import ChangingProduct
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(240)
NOW = 1_700_000_000


class Bus:
    """Keeps the CloudEvents that it is posted; `before_answer` is called with each."""

    def __init__(self) -> None:
        self.got: list[dict[str, object]] = []
        self.before_answer: Callable[[], None] = lambda: None

    def take(self, body: bytes) -> str:
        self.got.append(json.loads(body))
        self.before_answer()
        return ""

    def kinds(self) -> list[str]:
        """Return the types of the distinct events by id, in the order of their arrival."""
        found = {one["id"]: one["data"]["transition"] for one in reversed(self.got)}
        return [found.pop(one["id"]) for one in self.got if one["id"] in found]


@pytest.fixture
def bus():
    return Bus()


@pytest.fixture
def messenger(control_plane, namespace, tmp_path, bus):
    """Yield a function that starts replicas of the messenger of the namespace.

    They are killed in the end.
    """
    install_crds(control_plane)
    config = tmp_path / "notify.yaml"
    running = []

    def started():
        number = len(running)
        environment = {
            "KUBECONFIG": str(control_plane.kubeconfig_for("messenger", ("system:masters",))),
            "SLUICEGATE_NAMESPACE": namespace,
            "SLUICEGATE_WATCH_NAMESPACES": namespace,
            "SLUICEGATE_POD_NAME": f"notify-{number}",
            "SLUICEGATE_METRICS_PORT": str(free_port()),
            **QUICK_LEASE,
        }
        command = [sys.executable, "-m", "sluicegate", "notify", "--config", str(config)]
        log = tmp_path / f"notify-{number}.log"
        running.append(start(command, log=log, env=environment, cwd=ROOT))
        return running[-1]

    with answering(bus.take) as address:
        sink = {"kind": "CloudEvents", "url": f"http://{address}/"}
        settings = {"groupSeconds": 0, "foldSeconds": 0, "sinks": {"bus": sink}}
        config.write_text(yaml.safe_dump(settings | {"routes": [{"to": ["bus"]}]}))
        yield started
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()


def test_a_messenger_killed_between_delivery_and_its_record_sends_no_message_twice(
    control_plane, namespace, messenger, bus, tmp_path
):
    apply(control_plane, product(namespace, "search"))
    told = ChangingProduct(NOW)

    def write(step) -> None:
        told.now += 60
        step(told)
        where = ("dataproduct", "search", "--namespace", namespace)
        document = json.loads(control_plane.kubectl("get", *where, "-o", "json"))
        control_plane.kubectl(
            "replace", "--subresource=status", "-f", "-",
            stdin=json.dumps(document | {"status": told.body()}),
        )  # fmt: skip

    def seen() -> bool:
        text = control_plane.kubectl(
            "get", "configmap", "sluicegate-notify", "--namespace", namespace,
            "--ignore-not-found", "-o", "json",
        )  # fmt: skip
        return bool(text) and f"p.{namespace}.search" in (json.loads(text).get("data") or {})

    process = messenger()
    write(ChangingProduct.recover)
    assert eventually(seen, seconds=60)
    bus.before_answer = lambda: process.send_signal(signal.SIGKILL)
    write(ChangingProduct.degrade)
    assert eventually(lambda: process.poll() is not None, seconds=60)
    bus.before_answer = lambda: None
    write(ChangingProduct.start)  # while no client reads
    messenger()
    assert eventually(lambda: len(bus.kinds()) == 2, seconds=90)
    write(ChangingProduct.end)
    assert eventually(lambda: len(bus.kinds()) == 3, seconds=60)
    assert bus.kinds() == ["degraded", "rollout.started", "rolledback"]
    assert [one["data"]["transition"] for one in bus.got].count("degraded") == 2
    assert len({one["id"] for one in bus.got}) == 3

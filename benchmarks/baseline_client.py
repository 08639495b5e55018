"""The floor: a bare client that sends the same five writes per product and does nothing else.

It reads nothing, waits for no pod and no gateway and decides nothing, so the time until its
Deployments are available is that of the control plane itself. `python -m
benchmarks.baseline_client` is its process: it watches DataProducts only to learn that one was
applied.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.contender import Description, Product, Program
from benchmarks.kube import Client, key_of, path_of
from benchmarks.sluicegate_contender import RUNTIME, Sluicegate, data_product
from sluicegate.api.product import DataProduct
from sluicegate.manifests.plan import initial_children, spec_version
from sluicegate.settings import Settings

if TYPE_CHECKING:
    from benchmarks.contender import Body, Surroundings
    from cluster.controlplane import ControlPlane

AT_ONCE: Final = Settings().workers
"""Concurrent products, as many as the operator has workers."""
QUERY: Final = "fieldManager=floor&force=true"
APPLY: Final = "application/apply-patch+yaml"
SERVED: Final = Path(__file__).with_name("served_status.json")
"""What the engine says of a product whose first version serves: of the same length as the real one,
as the API server takes longer for a long status. A test holds it to that."""
STAND_INS: Final = ("benchmark-namespace", "benchmark-name", "benchmark-uid")


@dataclass(frozen=True, slots=True)
class Floor:
    """Contender that only sends the writes."""

    observed: str = "/apis/apps/v1/deployments"

    @property
    def description(self) -> Description:
        """Description, with the differences from the other contenders."""
        return Description(
            name="floor",
            version="-",
            makes="the same objects as sluicegate, status included",
            not_comparable=("It repeats all writes after a restart, and observes nothing.",),
            scenarios=("cold", "starts"),
        )

    def prepare(self, plane: ControlPlane) -> None:
        """Install the same CRDs."""
        Sluicegate().prepare(plane)

    def program(self, surroundings: Surroundings) -> Program:
        """Return the command of this module."""
        environment = {"KUBECONFIG": str(surroundings.kubeconfig)}
        return Program((sys.executable, "-m", "benchmarks.baseline_client"), environment)

    def objects(self, product: Product) -> tuple[Body, ...]:
        """Return one DataProduct."""
        return (data_product(product, "v1"),)

    def changes(self, product: Product) -> tuple[Body, ...]:  # noqa: ARG002 - of the protocol
        """Return nothing: there is no second version."""
        return ()

    def hurried(self) -> Floor:
        """Return itself: all its durations fit into a run."""
        return self

    def ideal_promotion_seconds(self) -> float:
        """Return 0, as there are no promotions."""
        return 0.0

    def is_ready(self, body: Body) -> bool:
        """Return whether its Deployment is available."""
        return bool((body.get("status") or {}).get("availableReplicas"))

    def is_promoted(self, body: Body) -> bool:  # noqa: ARG002 - of the protocol
        """Return False, as there are no promotions."""
        return False


def render_template() -> list[str]:
    """Return the five writes as texts: path, then body, with placeholders for the names."""
    product = data_product(Product(*STAND_INS[:2], number=0), "v1")
    product["metadata"]["uid"] = STAND_INS[2]
    parsed = DataProduct.parse(product)
    version = spec_version(parsed, RUNTIME)
    children = initial_children(parsed, version, Settings())
    # With the product's own name, by which the harness finds it.
    children[0]["metadata"]["name"] = STAND_INS[1]
    status: Body = {
        "apiVersion": product["apiVersion"],
        "kind": product["kind"],
        "metadata": {"namespace": STAND_INS[0], "name": STAND_INS[1]},
        "status": json.loads(SERVED.read_text(encoding="utf-8")),
    }
    paths = [*map(path_of, children), f"{path_of(status)}/status"]
    return [
        f"{path} {json.dumps(body)}" for path, body in zip(paths, [*children, status], strict=True)
    ]


async def serve(kubeconfig: Path) -> None:
    """Send five writes for each existing or new DataProduct."""
    template = render_template()
    waiting: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()

    def take_in(event: str, body: Body) -> None:
        if event == "ADDED":
            waiting.put_nowait((*key_of(body), body["metadata"]["uid"]))

    async with Client(kubeconfig) as client, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(_write(client, template, waiting))
        group.create_task(client.watch(Sluicegate().observed, take_in))


async def _write(
    client: Client, template: list[str], waiting: asyncio.Queue[tuple[str, str, str]]
) -> None:
    while True:
        names = await waiting.get()
        for text in template:
            for stand_in, name in zip(STAND_INS, names, strict=True):
                text = text.replace(stand_in, name)  # noqa: PLW2901 - three steps of one
            path, _, body = text.partition(" ")
            await client.send("PATCH", f"{path}?{QUERY}", json.loads(body), APPLY)


if __name__ == "__main__":
    asyncio.run(serve(Path(os.environ["KUBECONFIG"])))

"""Two products of one namespace turn bad together, and one may train at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from cluster.controlplane import ControlPlane, Options
from sluicegate.api import names
from tests.support.accepting_gateway import accepting, install_gateway_api
from tests.support.judged_products import RIGHT, TRAINING, VANS_OWE, WRONG, Judged, judged
from tests.support.replicas import install_crds, read
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(400)

BLOCK_SECONDS = 30
"""Long beside what a Job takes on a fake node, where it ends at once."""
VANS = ("vans-a", "vans-b")


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """One of its own, with pods and a Gateway."""
    with ControlPlane(Options(fake_nodes=2)) as started:
        install_crds(started)
        install_gateway_api(started)
        yield started


def trained(scene: Judged) -> set[str]:
    """Products that a training was begun for."""
    jobs: list[dict[str, Any]] = read(scene.plane, "jobs", "-n", scene.namespace)
    return {job["metadata"]["labels"][names.LABEL_PRODUCT] for job in jobs}


def test_who_waits_for_a_slot_has_it_when_it_is_free_and_not_a_block_later(
    control_plane: ControlPlane, tmp_path: Path
):
    with accepting(control_plane), judged(control_plane, "slots", tmp_path) as scene:
        analysis = {"blockSeconds": BLOCK_SECONDS}
        scene.serve(*VANS, slos=VANS_OWE, shown=RIGHT, analysis=analysis, retraining=TRAINING)
        scene.accepted_long_ago(*VANS)
        now = time.time()
        for name in VANS:
            scene.show(name, WRONG, since=now)
        eventually(lambda: trained(scene), seconds=6 * BLOCK_SECONDS, what="the first training")
        decided_by = scene.server.newest_block()
        eventually(
            lambda: trained(scene) == set(VANS), seconds=2 * BLOCK_SECONDS, what="the second one"
        )
        assert scene.server.newest_block() == decided_by

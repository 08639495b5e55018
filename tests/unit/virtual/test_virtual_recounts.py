"""A record of a story of the whole operator, from which what each version brought is counted again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.workloads import Quality
from sluicegate.views.product import versions
from tests.support.decisions.rollout_world import image
from tests.support.virtual.replays import Watch, recorded
from tests.support.virtual.stories import (
    HOUR,
    RARELY,
    on_virtual_time,
    product,
    pushed,
    served,
    serving,
)

if TYPE_CHECKING:
    from sluicegate.simulation.replay_scenario import ReplayBlock

BLOCK = 60
"""Seconds of a block of a canary."""
AVAILABILITY = {
    "name": "availability", "indicator": {"availability": {}}, "objective": "0.99", "maxRegression": "0.005",
}  # fmt: skip


def recount(blocks: tuple[ReplayBlock, ...], candidate: str, stable: str, end: int) -> list[int]:
    """Return bad events and all of the candidate, then those of stable, of its canary's blocks until this end.

    A block counts if the candidate's share of the requests is that of the block before: the share has then
    been the same for a whole block.
    """
    sums, share_before = [0, 0, 0, 0], 0.0
    for block in blocks:
        counts: Any = block.counts
        if block.at > end or candidate not in counts:
            share_before = 0.0
            continue
        pair = [*counts[candidate]["availability"], *counts[stable]["availability"]]
        share = pair[1] / (pair[1] + pair[3])
        if share and abs(share - share_before) < 0.005:
            sums = [total + number for total, number in zip(sums, pair, strict=True)]
        share_before = share
    return sums


@pytest.mark.slow
@on_virtual_time
async def test_the_verdict_of_each_version_equals_a_recount_of_the_recorded_blocks(world):
    watch = Watch()
    world.on_plan.append(watch)
    body = product(slos=[AVAILABILITY], retraining=None, model=pushed("a", "v1"))
    key = await served(world, body, **RARELY)
    world.cluster.set_quality(image("b"), Quality(failed=0.05))
    await world.run(HOUR)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: "v2" in told(world, key), seconds=9 * HOUR)
    await world.run(HOUR / 2)
    world.edit(key, model=pushed("c", "v3"))
    await world.until(lambda: serving(world, key) == "v3", seconds=9 * HOUR)
    await world.run(HOUR / 4)

    record = await recorded(world, key)
    ends = {kind: end for end, kind, *_ in watch.decisions(BLOCK)}
    for name, kind in (("v2", "Rollback"), ("v3", "Promote")):
        end = ends[kind]
        bad, total, stable_bad, stable_total = recount(record.blocks, name, "v1", end)
        assert total > 0
        status = world.status(key)
        entries = [status["stable"], *status["history"]]
        [counted] = next(entry for entry in entries if entry["version"] == name)["verdict"]["slos"]
        assert counted["candidate"] == {"bad": bad, "total": total}
        assert counted["stable"] == {"bad": stable_bad, "total": stable_total}
        [lift] = told(world, key)[name]["lifts"]
        assert lift["gain"] == pytest.approx(stable_bad / stable_total - bad / total)
        assert lift["interval"][0] < lift["gain"] < lift["interval"][1]


def told(world, key) -> dict[str, Any]:
    """Return the ended versions and the stable one as `history` lists them, by name."""
    body = {"metadata": {"generation": 1}, "spec": {}, "status": world.status(key)}
    return {version["version"]: version for version in versions(body) if version.get("lifts")}

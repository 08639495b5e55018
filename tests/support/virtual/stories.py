"""Products of the stories on virtual time, and what is read of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.event_loop import run_in
from benchmarks.virtual.operator import SETTINGS, World
from benchmarks.virtual.workloads import Quality
from tests.support.decisions.rollout_world import document, image
from tests.support.lives.safety import Safety

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sluicegate.kube.resources import Key

Body = dict[str, Any]

HOUR: Final = 3600.0
BLOCK: Final = 300
BAD: Final = Quality(wrong=0.4)
SLOW: Final = Quality(start=120.0)
LEASE, LOOK = 15.0, 2.0
"""As they ship, in seconds."""
RARELY: Final[Body] = {
    "lease_duration_seconds": 300, "lease_renew_seconds": 290, "lease_retry_seconds": 150,
    "resync_seconds": 86_400.0,
}  # fmt: skip
"""Renewals and lists are most of what happens in an hour; fewer of them make a long story a quick test."""
OUTPUT: Final = "registry.example/bentos/search"
COUNTS: Final = {"bad": 1000, "total": 10_000}
TRAINED: Final = {
    "image": image("c"),
    "version": "v2-trained",
    "evaluation": {"accuracy": COUNTS},
    "stableEvaluation": {"accuracy": COUNTS | {"bad": 4000}},
}


@asynccontextmanager
async def opened(*, seed: int = 0, for_days: bool = False, **settings: Any) -> AsyncIterator[World]:
    """Yield a world whose operator has these settings; a logged error fails the test."""
    chosen = SETTINGS.model_copy(update=settings)
    async with World(seed, settings=chosen, for_days=for_days) as world:
        yield world
        assert not world.errors.found


on_virtual_time = run_in(opened)
"""A test of the whole operator."""
for_days = run_in(partial(opened, for_days=True))
"""The same, where days pass: tasks that poll do so rarely."""


def product(name: str = "search", **spec: Any) -> Body:
    """Return a product whose accuracy was evaluated before it was deployed."""
    bento = {"image": image("a"), "version": "v1", "service": "Search"}
    accuracy = {
        "name": "accuracy",
        "indicator": {"outcomes": {}},
        "maxDrop": "0.05",
        "maxRegression": "0.05",
        "onDegraded": "Retrain",
    }
    body = document(
        **{
            "model": {"bento": bento, "evaluation": {"accuracy": COUNTS}},
            "slos": [accuracy],
            "retraining": {"command": ["train"], "output": OUTPUT},
            "route": {
                "parentRefs": [{"name": "web", "namespace": "gateway"}],
                "path": f"/{name}",
            },
            "analysis": {"blockSeconds": BLOCK},
            **spec,
        }
    )
    body["metadata"]["name"] = name
    return body


def pushed(digit: str, version: str) -> Body:
    """Set the model of another version; return it."""
    return {"bento": {"image": image(digit), "version": version, "service": "Search"}}


def serving(world: World, key: Key) -> str:
    """Return the stable version; empty without one."""
    if world.condition(key, "Ready").get("status") != "True":
        return ""
    return str(world.status(key)["stable"]["version"])


async def served(world: World, body: Body, **settings: float) -> Key:
    """Return a product that a replica with these settings was started for, once v1 serves."""
    key = world.apply(body)
    world.start(**settings)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    return key


async def served_slowly(world: World, body: Body) -> tuple[Key, Safety]:
    """Return a serving product whose next pods start slowly, and its invariants from the start."""
    safety = Safety(world)
    key = await served(world, body, **RARELY)
    for digit in "ab":
        world.cluster.set_quality(image(digit), SLOW)
    await world.run(300)
    return key, safety


async def share_taken(world: World, key: Key, share: int) -> None:
    """Push v2, and return once it has this share in percent, and all slow pods have started."""
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == share, seconds=HOUR)
    await world.run(400)


def weight(world: World, key: Key) -> int:
    """Return the share that a candidate has in percent; 0 without one."""
    return int((world.status(key).get("candidate") or {}).get("weight") or 0)


def trainings(world: World, key: Key) -> int:
    """Return the number of trainings, with those that run."""
    return int((world.status(key).get("retraining") or {}).get("unsuccessfulAttempts") or 0)


def slo(world: World, key: Key, name: str = "accuracy") -> tuple[str, str]:
    """Return the state and reason of an SLO."""
    entry = next((one for one in world.status(key).get("slos") or () if one["name"] == name), {})
    return entry.get("state", ""), entry.get("reason", "")


def shadow(world: World, key: Key) -> Body:
    """Return the shadow phase in status; empty without one."""
    shadow_phase: Body = (world.status(key).get("candidate") or {}).get("shadow") or {}
    return shadow_phase


def evidence(world: World, key: Key) -> Body:
    """Return the evidence of the rows of accuracy in the shadow phase.

    Empty before there are any.
    """
    return next(iter(shadow(world, key).get("evidence") or ()), {})

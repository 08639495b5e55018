"""Histories of a product that end in the same spec, and so have to end in the same state.

Any two whose last spec names the same bento are a pair: all of them are compared with one end.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.operator import SETTINGS, World
from tests.support.decisions.rollout_world import image
from tests.support.lives.safety import Violation
from tests.support.lives.steps import QUALITIES
from tests.support.lives.truth import TrueLived
from tests.support.virtual.stories import RARELY, product, pushed, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sluicegate.kube.resources import Key

Body = dict[str, Any]

WORSE: Final = "c"
"""Digest of a bento that is worse than all others: each canary of it is rejected."""
NAMED: Final = {"a": "v1", "b": "v2", WORSE: "v3", "d": "v4"}
"""Bentos that the spec may name, by digest, with their version."""
MAX_HOURS: Final = 40
MAX_EVENTS: Final = 5
_PAUSES: Final = (0, 5, 40, 130, 700, 4000)
"""Seconds after an edit: less than a reconcile, within a start, a step, a rollout."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a history leads to: the version that serves, and what became of spec.model."""

    stable: str
    model: str
    outcome: str
    stalled: str
    under_way: bool

    def difference(self, last: str) -> str:
        """How this end differs from the one that a spec with this bento leads to; empty if not."""
        name = NAMED[last]
        end = Ending(name, name, "Promoted", stalled="", under_way=False)
        if last == WORSE:  # some other version stays
            stable = self.stable if self.stable != name else "another version"
            end = Ending(stable, name, "RolledBack", stalled="ModelRejected", under_way=False)
        return "" if self == end else f"{self} instead of {end}"


@dataclass(frozen=True, slots=True)
class History:
    """A drawn history whose spec names one bento at last, and is without mistakes.

    Attributes
    ----------
    last : digest of that bento. events : of those that are drawn before, how many happen at most.
    """

    seed: int
    last: str
    events: int = MAX_EVENTS

    def simpler(self) -> Iterator[History]:
        """The same without its last event."""
        if self.events:
            yield replace(self, events=self.events - 1)

    def live(self) -> TrueLived:
        """Live it until no candidate is left."""
        return run_virtually(_live(self))


def draw_history(seed: int) -> History:
    """The history of a seed."""
    return History(seed, random.Random(f"history {seed}").choice(("a", "b", WORSE)))


async def _live(history: History) -> TrueLived:
    dice, last = random.Random(f"{history.seed} {history.last}"), history.last
    async with World(dice.randrange(10**6), settings=SETTINGS) as world:
        world.cluster.set_quality(image(WORSE), QUALITIES["failing"])
        spec = {"analysis": {"blockSeconds": 60}, "rollout": {"steps": [10, 50]}, "slos": _SLOS}
        body = product(**spec)
        del body["spec"]["model"]["evaluation"]
        key = world.apply(body)
        world.start(**RARELY)
        await world.until(lambda: serving(world, key) == "v1", seconds=60)
        story = []
        for _ in range(min(dice.randrange(MAX_EVENTS + 1), history.events)):
            event = dice.choice(_EVENTS)
            story.append(f"{world.loop.time() / 3600:8.2f} h  {event.__name__.strip('_')}")
            event(dice, world, key)
            await world.run(dice.choice(_PAUSES))
        if last == WORSE:  # tried by each history, as what wasn't tried yet would be
            _name(world, key, last)
        world.edit(
            key, suspend=False, analysis={"blockSeconds": 60}, model=pushed(last, NAMED[last])
        )
        if world.leader() is None and all(replica.is_gone for replica in world.replicas):
            world.start(**RARELY)
        story.append(f"{world.loop.time() / 3600:8.2f} h  the last spec names {NAMED[last]}")
        await world.run(300)
        end = world.loop.time() + MAX_HOURS * 3600
        while not _rests(world, key) and world.loop.time() < end:
            await world.run(10)
        found = _ending(world, key)
        texts = {
            "no end": "" if _rests(world, key) else f"after {MAX_HOURS} h: {found}",
            "another end": found.difference(last),
            "bug": "; ".join(world.errors.found)[:600],
        }
        violations = tuple(
            Violation(name, str(key), text, world.loop.time(), world.steps)
            for name, text in texts.items()
            if text
        )
        outcome = f"{found.model} {found.outcome}"
        return TrueLived(
            violations, {}, outcome, world.loop.time(), world.steps, {"ends": 1}, tuple(story)
        )


def _rests(world: World, key: Key) -> bool:
    """Whether no candidate is left, the newest spec was read, and no replica starts."""
    body = world.product(key)
    read = (body.get("status") or {}).get("observedGeneration") == body["metadata"]["generation"]
    return read and not body["status"].get("candidate") and world.leader() is not None


def _ending(world: World, key: Key) -> Ending:
    status = world.status(key)
    model = status.get("specModel") or {}
    return Ending(
        stable=(status.get("stable") or {}).get("version", ""),
        model=model.get("version", ""),
        outcome=model.get("outcome", ""),
        stalled=world.condition(key, "Stalled").get("reason", ""),
        under_way=bool(status.get("candidate")),
    )


# ---- what happens before the last edit ----------------------------------------------------------
def _name(world: World, key: Key, digit: str) -> None:
    world.edit(key, model=pushed(digit, NAMED[digit]))


def _push(dice: random.Random, world: World, key: Key) -> None:
    _name(world, key, dice.choice(tuple(NAMED)))


def _suspend(dice: random.Random, world: World, key: Key) -> None:
    world.edit(key, suspend=dice.random() < 0.6)


def _mistake(dice: random.Random, world: World, key: Key) -> None:
    world.edit(key, analysis={"blockSeconds": dice.choice((20, 60))})


def _take_a_name(dice: random.Random, world: World, key: Key) -> None:
    """Name a bento that is pushed nowhere else by the name of stable."""
    del dice
    world.edit(key, model=pushed("e", world.status(key)["stable"]["version"]))


def _restart(dice: random.Random, world: World, key: Key) -> None:
    """Kill the leader; another replica begins at once, or minutes later."""
    del key
    leader = world.leader()
    if leader is not None:
        leader.kill()
        world.loop.call_later(dice.choice((0.0, 600.0)), lambda: world.start(**RARELY))


_EVENTS: Final[tuple[Callable[[random.Random, World, Any], None], ...]] = (
    _push, _push, _push, _suspend, _suspend, _mistake, _take_a_name, _restart,
)  # fmt: skip
_SLOS: Final[list[Body]] = [
    {"name": "availability", "indicator": {"availability": {}}, "objective": "0.95"}
]

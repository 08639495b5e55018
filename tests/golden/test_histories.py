"""What is found and decided in long histories, with its numbers: a diff here changes decisions."""

from __future__ import annotations

from math import pi, sin
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.decisions.histories import (
    World,
    always,
    bursts,
    fails_each,
    from_block,
    good,
    trains_each,
)
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY, BLOCK, LATENCY, count, product

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

pytestmark = pytest.mark.slow

EASY = {**AVAILABILITY, "objective": "0.99"}
ACCEPTED = {"accuracy": count(500, 5000)}
OTHERS = {"v2": good(), "v3": good()}
TRAINING = {"command": ["train"], "output": "registry.example/search", "cooldownSeconds": 3600}
UPSTREAM = {"dependsOn": [{"name": "pricing"}]}


def decaying(since: int, to: float = 0.3) -> dict[str, Any]:
    return good() | {"accuracy": from_block(since, 0.1, to)}


def pushed(version: str, block: int) -> dict[str, Any]:
    return {"at": block * BLOCK, "modelChanged": {"version": version}}


def fact(block: int, **change: Any) -> dict[str, Any]:
    return {"at": block * BLOCK, **change}


def trained(version: str, bad: int, rows: int = 5000) -> dict[str, Any]:
    """Return the result of a training, against a stable version that is wrong in 30 %."""
    return {
        "version": version,
        "evaluation": {"accuracy": count(bad, rows)},
        "stableEvaluation": {"accuracy": count(rows * 3 // 10, rows)},
    }


def shown(right: int, stable: int, candidate: int, wrong: int) -> dict[str, Any]:
    """Return the result of a training, row by row."""
    total = right + stable + candidate + wrong
    names = ("bothRight", "onlyStableWrong", "onlyCandidateWrong", "bothWrong")
    return {
        "evaluation": {"accuracy": count(candidate + wrong, total)},
        "stableEvaluation": {"accuracy": count(stable + wrong, total)},
        "pairs": {"accuracy": dict(zip(names, (right, stable, candidate, wrong), strict=True))},
    }


def disturbed(index: int, block: dict[str, Any]) -> dict[str, Any]:
    """Return the block with a fault of measurement by its index: low coverage, no answer or no counts."""
    if 60 <= index < 70:
        return block | {"coverage": 0.5}
    if 110 <= index < 122:
        return {"at": block["at"], "unavailable": "PrometheusStale"}
    if index in {150, 151}:
        return {"at": block["at"], "counts": {}}
    return block


def at_night(index: int) -> float:
    return 0.0 if 180 <= index < 230 else 1.0


def by_hour(index: int) -> float:
    """Return wrong more often in the evening of each day."""
    return 0.1 + 0.04 * sin(2 * pi * index / 288)


HISTORIES = {
    "trainings that fail": World(
        product(retraining=TRAINING),
        {"v1": decaying(60)},
        330,
        accepted=ACCEPTED,
        react=fails_each(),
    ),
    "trainings that end": World(
        product(EASY, ACCURACY, retraining=TRAINING, rollout={"steps": [50]}),
        {"v1": decaying(60), "v4": good() | {"accuracy": from_block(330, 0.1, 0.35)}, **OTHERS},
        420,
        accepted=ACCEPTED,
        react=trains_each(trained("v2", 1700), trained("v3", 3, 20), trained("v4", 500)),
    ),
    "a challenger": World(
        product(
            EASY,
            ACCURACY,
            rollout={"steps": [50]},
            retraining=TRAINING | {"schedule": {"everyLabels": 20_000}},
        ),
        {"v1": good(), "v2": good(), "v3": good(0.05)},
        260,
        accepted=ACCEPTED,
        react=trains_each(
            {"version": "v2", **shown(420, 26, 24, 30)}, {"version": "v3", **shown(840, 80, 20, 60)}
        ),
    ),
    "causes outside": World(
        product(EASY, ACCURACY, retraining=TRAINING, **UPSTREAM),
        {"v1": decaying(50, 0.25)},
        260,
        accepted=ACCEPTED,
        facts=[
            fact(45, upstreamDegraded=["pricing"]),
            fact(100, upstreamDegraded=[], podsUnhealthy=True),
            fact(140, podsUnhealthy=False, nodeBusy=True),
            fact(200, nodeBusy=False),
        ],
    ),
    "candidates in bursts": World(
        product(EASY, LATENCY, ACCURACY, rollout={"steps": [5, 25, 50]}),
        {
            "v1": good() | {"latency": always(0.004), "accuracy": bursts(0.1, 0.01, "v1")},
            "v2": good() | {"latency": always(0.005), "accuracy": bursts(0.105, 0.01, "v2")},
            "v3": good() | {"latency": always(0.03), "accuracy": bursts(0.1, 0.01, "v3")},
        },
        220,
        accepted=ACCEPTED,
        events=[pushed("v2", 50), pushed("v3", 140)],
    ),
    "blocks that tell nothing": World(
        product(EASY, ACCURACY, retraining=None),
        {"v1": good(), **OTHERS},
        250,
        accepted=ACCEPTED,
        busy=at_night,
        problem=disturbed,
        events=[pushed("v2", 55), pushed("v3", 170)],
    ),
    "releases": World(
        product(AVAILABILITY, LATENCY, ACCURACY, retraining=TRAINING, rollout={"steps": [50]}),
        {
            "v1": good() | {"latency": always(0.004)},
            "v2": good() | {"latency": always(0.004), "accuracy": from_block(75, 0.1, 0.35)},
            "v3": {
                "availability": from_block(165, 0.0002, 0.004),
                "latency": from_block(230, 0.004, 0.03),
                "accuracy": from_block(190, 0.1, 0.12),
            },
        },
        330,
        accepted=ACCEPTED,
        events=[pushed("v2", 40), pushed("v3", 130)],
    ),
    "wishes": World(
        product(
            {**AVAILABILITY, "onDegraded": "Alert"},
            {**LATENCY, "onDegraded": "Ignore"},
            {**ACCURACY, "onDegraded": "Rollback"},
            retraining=TRAINING,
            rollout={"steps": [10, 90], "approval": "Manual"},
        ),
        {
            "v1": {
                "availability": from_block(30, 0.0002, 0.01),
                "latency": from_block(60, 0.004, 0.1),
                "accuracy": from_block(90, 0.1, 0.4),
            },
            "v2": good() | {"latency": always(0.004)},
        },
        220,
        accepted=ACCEPTED,
        events=[pushed("v2", 140)],
    ),
    "days": World(
        product(EASY, {**ACCURACY, "objective": "0.7"}, retraining=TRAINING),
        {"v1": good() | {"accuracy": by_hour}, "v2": good() | {"accuracy": always(0.2)}},
        3 * 288,
        events=[pushed("v2", 2 * 288 + 60)],
    ),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_the_evaluation_of_a_history_equals_its_golden(history, golden):
    lines = HISTORIES[history].play()
    golden(f"histories/{history.replace(' ', '-')}.txt", told(lines))


def told(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield each line that differs from the one before in more than numbers, and the last one."""
    before: object = None
    for line in lines:
        decision = line["decision"]
        candidate = f"{line['candidate']}@{line['weight']}" if line["candidate"] else "-"
        slos = [
            (name, one["state"], one["reason"], one["confirmed"])
            for name, one in line["slos"].items()
        ]
        words = (
            line["state"],
            decision["type"],
            decision["reason"],
            line["stable"],
            candidate,
            slos,
        )
        if words == before and line is not lines[-1]:
            continue
        before = words
        yield " ".join((f"{line['at'] // BLOCK:>4}", *words[:5]))
        yield f"     {decision['message']}"
        for name, one in line["slos"].items():
            numbers = (f"{field} {value}" for field, value in one.items() if field != "objective")
            yield f"     {name}: {', '.join(numbers)}"

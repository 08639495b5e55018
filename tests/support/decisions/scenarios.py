"""Scenarios to replay, made of a few words: versions, rates, events."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_output import as_object
from sluicegate.simulation.replay_scenario import parse_scenario

BLOCK = 300
Counts = dict[str, dict[str, int]]
Script = Callable[[int], dict[str, Any] | None]
"""What block number i says: version → counts, or a whole block; None for no block at all."""

AVAILABILITY = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.999"}
LATENCY = {
    "name": "latency",
    "indicator": {"latency": {"thresholdMilliseconds": 250}},
    "objective": "0.99",
}
ACCURACY = {
    "name": "accuracy",
    "indicator": {"outcomes": {}},
    "objective": "0.80",
    "maxDrop": "0.03",
}


def product(*slos: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    """Return a DataProduct with these SLOs.

    Spec's other fields by keyword, None to leave one out.
    """
    fields = {
        "owner": "group:default/catalog",
        "model": {
            "bento": {
                "image": "registry.example/bentos/search@sha256:" + "a" * 64,
                "version": "v1",
                "service": "Search",
            }
        },
        "serving": {"feedback": {"secretRef": {"name": "search-feedback"}}},
        "slos": list(slos or (AVAILABILITY, ACCURACY)),
        "retraining": {
            "command": ["python", "-m", "train"],
            "output": "registry.example/search",
            "cooldownSeconds": 86_400,
        },
    }
    fields.update(spec)
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "DataProduct",
        "metadata": {"name": "search", "namespace": "catalog"},
        "spec": {name: value for name, value in fields.items() if value is not None},
    }


def count(bad: int, total: int) -> dict[str, int]:
    return {"bad": bad, "total": total}


def steady(rate: float = 0.1, labels: int = 100, requests: int = 1200, failed: int = 0) -> Counts:
    """Return counts of a version whose accuracy is wrong at exactly this rate."""
    return {
        "availability": count(failed, requests),
        "accuracy": count(round(labels * rate), labels),
    }


def blocks(script: Script, last: int, first: int = 1, seconds: int = BLOCK) -> list[dict[str, Any]]:
    """Return blocks first … last of a script."""
    rows = []
    for index in range(first, last + 1):
        counts = script(index)
        if counts is None:
            continue
        whole = counts.keys() & {"counts", "unavailable", "coverage"}
        rows.append({"at": index * seconds, **(counts if whole else {"counts": counts})})
    return rows


def scenario(script: Script, last: int, *, seconds: int = BLOCK, **fields: Any) -> dict[str, Any]:
    """Return a scenario of `last` blocks; its other fields by keyword."""
    document = {
        "product": product(),
        "version": "v1",
        "accepted": {"accuracy": count(100, 1000)},
        "blocks": blocks(script, last, seconds=seconds),
    }
    document.update(fields)
    return {name: value for name, value in document.items() if value is not None}


def run(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all lines of a replay, as parsed JSON."""
    steps = replay(parse_scenario(json.loads(json.dumps(document))))
    return [as_object(step) for step in steps]


def types(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the types of decisions other than Hold."""
    return [line["decision"]["type"] for line in lines if line["decision"]["type"] != "Hold"]


def acts(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the types and reasons of decisions other than Hold."""
    decisions = [line["decision"] for line in lines]
    return [
        (decision["type"], decision["reason"])
        for decision in decisions
        if decision["type"] != "Hold"
    ]


def at(lines: Iterable[Mapping[str, Any]], second: int) -> Mapping[str, Any]:
    """Return the line of this second."""
    return next(line for line in lines if line["at"] == second)


def first(lines: Iterable[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    """Return the first line with a decision of this type. Raises AssertionError without one."""
    matching = [line for line in lines if line["decision"]["type"] == kind]
    assert matching, f"nothing was decided of type {kind}"
    return matching[0]


def drawn(seed: int) -> Callable[[int, float], int]:
    """Return Binomial counts from a seeded generator."""
    source = random.Random(seed)

    def draw(total: int, rate: float) -> int:
        return sum(source.random() < rate for _ in range(total))

    return draw

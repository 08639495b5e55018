"""Histories of a product whose accuracy decays, and of versions that are pushed or trained then."""

from typing import Any

from tests.support.decisions.scenarios import (
    ACCURACY,
    AVAILABILITY,
    BLOCK,
    count,
    product,
    steady,
)

EASY = {**AVAILABILITY, "objective": "0.99"}
ONE_STEP = {"steps": [50]}
PASSED = {
    "evaluation": {"accuracy": count(500, 5000)},
    "stableEvaluation": {"accuracy": count(1500, 5000)},
}
DECAY, TRAINED = 100, 130


def trained(block=TRAINED, version="v2", **counts):
    return {"at": block * BLOCK, "retrained": {"version": version, **(counts or PASSED)}}


def failed(block):
    return {"at": block * BLOCK, "retrainingFailed": {"message": "out of memory"}}


def changed(block, version):
    return {"at": block * BLOCK, "modelChanged": {"version": version}}


def decaying(candidate=None, version="v2", since=TRAINED, decay=DECAY):
    """Return rates: stable's accuracy falls from .90 to .70, a candidate has this bad rate."""

    def script(index):
        counts = {"v1": steady(0.1 if index < decay else 0.3, 200)}
        if candidate is not None and index > since:
            counts[version] = steady(candidate, 200, requests=600)
        return counts

    return script


def one_step(*slos, **spec):
    return product(*(slos or (EASY, ACCURACY)), rollout=ONE_STEP, **spec)


def worse_later(block, rate=0.4, evaluation=None):
    def script(index):
        counts = {"v1": steady(0.1, 200)}
        if index > 50:
            counts["v2"] = steady(0.1 if index < block else rate, 200, requests=600)
        return counts

    change: dict[str, Any] = {"version": "v2"}
    if evaluation:
        change["evaluation"] = {"accuracy": evaluation}
    return script, [{"at": 50 * BLOCK, "modelChanged": change}]

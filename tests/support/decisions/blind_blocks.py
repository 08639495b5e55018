"""Blocks without data or with impossible counts, and histories that end with such blocks."""

from tests.support.decisions.decays import decaying
from tests.support.decisions.scenarios import count

GONE = 104
"""The decay began at 100 and isn't confirmed yet when the data goes."""


def until(block, otherwise, script=None):
    """Return a script with other rates from `block` on."""
    before = script or decaying(0.1)
    return lambda index: before(index) if index < block else otherwise(index)


def unavailable(_index):
    return {"unavailable": "PrometheusUnavailable"}


def stale(_index):
    return {"unavailable": "PrometheusStale"}


def no_series(_index):
    return {"counts": {}}


def nothing(_index):
    empty = {"availability": count(0, 0), "accuracy": count(0, 0)}
    return {"v1": empty, "v2": empty}


def too_many_bad(_index):
    broken = {"availability": count(130, 100), "accuracy": count(130, 100)}
    return {"v1": broken, "v2": broken}


def not_a_number(_index):
    broken = {"availability": count(0, 1200), "accuracy": {"bad": float("nan"), "total": 100}}
    return {"v1": broken, "v2": broken}


def few_scrapes(index):
    return {"counts": decaying(0.1)(index), "coverage": "0.79"}


SCRIPTS = {
    "Prometheus away": until(GONE, unavailable),
    "Prometheus stale": until(GONE, stale),
    "no series": until(GONE, no_series),
    "night": until(GONE, nothing),
    "bad above total": until(GONE, too_many_bad),
    "not a number": until(GONE, not_a_number),
    "low coverage": until(GONE, few_scrapes),
}

"""Metrics of products' own: events, counters, gauges and expressions, all of the same answers.

A metric whose name has `good` counts the right answers, any other counter all of them; a gauge is
the share of right answers in percent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sluicegate.slo import metric_names as names
from sluicegate.slo.queries import Fact

if TYPE_CHECKING:
    from benchmarks.virtual.blocks import Block
    from benchmarks.virtual.traffic import Counted, Version

_COUNTER: Final = re.compile(
    rf'"{names.COUNTER}", "([^"]*)", "", ""\)\n, "{names.LAG}", "([0-9]+)"'
)
_GAUGE: Final = re.compile(
    rf'"{names.COUNTER}", "([^"]*)", "", ""\)\n, "{names.FACT_LABEL}", "mean"'
)
_OWNER: Final = re.compile(
    rf'"{names.PRODUCT}", "([^"]*)", "", ""\)\n, "{names.COUNTER}", "([^"]*)"'
)

_NAMESPACE: Final = re.compile(rf'"{names.NAMESPACE}", "([^"]*)", "", ""')


def events(query: str, version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return events of every indicator, by outcome; a product has one."""
    del query
    for outcome, curve in (("good", "correct"), ("bad", "wrong")):
        labels = by_prediction(version) | {names.INDICATOR: INDICATOR, names.OUTCOME: outcome}
        yield labels, _grown(counted, (curve,), blocks, 0)


def counters(query: str, version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return counters by name, with their values this many seconds before."""
    for name, lag in sorted(set(_COUNTER.findall(query))):
        labels = version._asdict() | {names.COUNTER: name, names.LAG: lag}
        yield labels, _grown(counted, _curves(name), blocks, int(lag))


def gauges(query: str, version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return means of gauges, and the age of their newest sample."""
    right, every = (_grown(counted, _curves(name), blocks, 0) for name in ("good", "all"))
    share = {index: 100 * right.get(index, 0) / count for index, count in every.items() if count}
    age = {one.index: one.age for one in blocks if one.age is not None and one.index in share}
    for name in sorted(set(_GAUGE.findall(query))):
        for fact, values in ((Fact.MEAN, share), (Fact.AGE, age)):
            yield version._asdict() | {names.COUNTER: name, names.FACT_LABEL: str(fact)}, values


def expressions(query: str, version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return a product's own expressions for good and for all events."""
    product, slo = _OWNER.findall(query)[0]
    if version.product != product:
        return
    for fact, name in ((Fact.GOOD, "good"), (Fact.TOTAL, "all")):
        labels = version._asdict() | {names.COUNTER: slo, names.FACT_LABEL: str(fact)}
        yield labels, _grown(counted, _curves(name), blocks, 0)


def input_of(query: str) -> dict[str, str]:
    """Return the labels of the value of an input, which no version has."""
    (namespace,) = _NAMESPACE.findall(query)
    product, name = _OWNER.findall(query)[0]
    return {names.NAMESPACE: namespace, names.PRODUCT: product, names.COUNTER: name}


INDICATOR: Final = "clicks"
"""Value of the label `indicator` of the events that products count."""


def _curves(name: str) -> tuple[str, ...]:
    return ("correct",) if "good" in name else ("correct", "wrong")


def by_prediction(version: Version) -> dict[str, str]:
    """Return the labels of predictions that the pods of their own version count."""
    return {
        **version._asdict(),
        names.PREDICTION_VERSION: version.version,
        names.PREDICTION_REVISION: version.revision,
    }


def _grown(
    counted: Counted, curves: tuple[str, ...], blocks: list[Block], lag: int
) -> dict[int, float]:
    """Return the growth of curves together, in blocks that end this many seconds earlier."""
    growth: dict[int, float] = {}
    for name in curves:
        curve = counted.events.get(name)
        if curve is None:
            continue
        for block in blocks:
            if (count := block.count(curve, lag)) is not None:
                growth[block.index] = growth.get(block.index, 0) + count
    return growth

"""What a spec means in numbers: a diff here changes what products are judged by."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.product import DataProduct
from sluicegate.policy.derived_defaults import derived
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import SloTerms, Terms, terms_of
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs
from tests.support.decisions.scenarios import product

if TYPE_CHECKING:
    from collections.abc import Iterator

GAUGE = {"metric": "mean_error", "direction": "LowerIsBetter", "bound": "5"}
SPECS = {
    "all-left-out": product(
        {"name": "availability", "indicator": {"availability": {}}, "objective": "0.999"},
        {"name": "latency", "indicator": {"latency": {"thresholdMilliseconds": 100}}, "objective": "0.9"},
        {"name": "outcomes", "indicator": {"outcomes": {}}, "objective": "0.8"},
        {"name": "events", "indicator": {"events": {"lagSeconds": 3601}}, "maxDrop": "0.04"},
        {"name": "gauge", "indicator": {"gauge": GAUGE}},
        rollout=None,
        serving=None,
        retraining={"command": ["train"], "output": "registry.example/search"},
    ),
    "all-given": product(
        {"name": "availability", "indicator": {"availability": {}}, "objective": "0.999", "maxDrop": "0.01",
         "maxRegression": "0.002", "onDegraded": "Ignore", "canaryEvidence": "Required"},
        {"name": "outcomes", "indicator": {"outcomes": {}}, "maxDrop": "0.04", "maxRegression": "0.01",
         "seasonality": "Weekly", "onDegraded": "Rollback"},
        {"name": "events", "indicator": {"events": {"lagSeconds": 86_400}}, "objective": "0.05"},
        {"name": "gauge", "indicator": {"gauge": {"metric": "basket"}}, "maxDrop": "4"},
        rollout={"steps": [10, 90], "maxDurationSeconds": 600, "approval": "Manual", "historyLimit": 3,
                 "approvals": {"consumers": ["All"]},
                 "shadow": {"intervalSeconds": 60, "mirror": {"percent": 25}}},
        route={"parentRefs": [{"name": "web", "namespace": "gateway"}]},
        analysis={"blockSeconds": 60},
        retraining={"mode": "Manual", "command": ["train"], "output": "registry.example/search",
                    "cooldownSeconds": 0, "gate": {"outcomes": {"maxRegression": "0.2"}},
                    "schedule": {"everySeconds": 86_400}},
        lifecycle="Deprecated",
        suspend=True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECS)
def test_the_terms_of_a_spec_equal_their_golden(name, golden):
    found = terms_of(DataProduct.parse(SPECS[name]))
    golden(f"terms/{name}.txt", told(found))


def told(terms: Terms) -> Iterator[str]:
    for field in fields(terms):
        if field.name != "slos":
            yield f"{field.name}: {getattr(terms, field.name)}"
    yield f"ended: {terms.ended}, deciding: {[slo.name for slo in terms.deciding]}"
    for slo in terms.slos:
        yield f"{slo.name}: {terms.indicator(slo.name)}"
        yield from (f"  {name}: {value}" for name, value in _fields(slo) if value is not None)
    yield f"another: '{terms.indicator('another')}'"
    yield from derived(terms)
    yield from derived(terms, {"outcomes": Count(100, 1000)}, Observed(block=100))


def _fields(slo: SloTerms) -> Iterator[tuple[str, Any]]:
    for field in fields(slo):
        if field.name == "thresholds":
            for row in slo.thresholds:
                yield "threshold", row
        elif field.name not in {"name", "calendar"}:
            yield field.name, getattr(slo, field.name)
    yield "subject", slo.subject
    yield "measures_quality", slo.measures_quality
    if slo.gauge is None:
        yield "min_events", [round(slo.min_events(ratio), 3) for ratio in (None, 0.1, 0.99)]
        rows = (None, Pairs(0, 0, 0, 0), Pairs(900, 40, 40, 20), Pairs(9, 1, 1, 0))
        yield "margin_by", [round(slo.margin_by(pairs), 5) for pairs in rows]

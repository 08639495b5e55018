"""Valid products, drawn at random: routes, SLOs, autoscaling, retraining, dependencies."""

from __future__ import annotations

import json
from copy import copy
from typing import TYPE_CHECKING, Any

from benchmarks.virtual.structural import product_schema
from tests.support.decisions.rollout_world import GATEWAY, RUNTIME, image

if TYPE_CHECKING:
    import random

Body = dict[str, Any]

BLOCK = 60
MAX_DURATION = 7200
LONGEST_DURATION = 14 * 86_400
"""Of a rollout whose duration is left out."""
OUTPUT = "registry.example/bentos/search"
NAMESPACES = ("catalog", "market")
STEPS = ((5, 25, 50), (50,), (10, 90), (1, 2, 5, 10, 25, 50), (99,))

AVAILABILITY: Body = {
    "name": "availability",
    "indicator": {"availability": {}},
    "objective": "0.95",
}
LATENCY: Body = {
    "name": "latency",
    "indicator": {"latency": {"thresholdMilliseconds": 250}},
    "objective": "0.9",
}
ACCURACY: Body = {
    "name": "accuracy",
    "indicator": {"outcomes": {}},
    "maxDrop": "0.05",
    "maxRegression": "0.05",
}


CLICKS: Body = {"name": "clicks", "maxDrop": "0.05", "maxRegression": "0.05"}
COUNTERS: Body = {"good": "clicks_good_total", "total": "clicks_total"}
PROMQL: Body = {
    "good": "sum by (version) (increase(clicks_good_total[$block]))",
    "total": "sum by (version) (increase(clicks_total[$block]))",
}
GAUGES: tuple[Body, ...] = (
    {"metric": "score"},
    {"metric": "score", "bound": "40", "staleAfterSeconds": 10},
    {"metric": "score", "direction": "LowerIsBetter", "bound": "120", "staleAfterSeconds": 3600},
)


def bento(digit: str, version: str = "") -> Body:
    """A bento by its digest, under its own version name or another."""
    return {"image": image(digit), "version": version or f"v{digit}", "service": "Search"}


def draw_slos(dice: random.Random, *, wide: bool = False) -> list[Body]:
    """One to three SLOs that each product can have, or none; wide, up to two of its own counters too."""
    chosen = dice.sample([AVAILABILITY, LATENCY, ACCURACY], dice.choice((0, 1, 2, 2, 3, 3)))
    if wide:
        chosen = [_with_objective(dice, one) for one in chosen]
        chosen += dice.sample(_draw_own(dice), dice.choice((0, 0, 0, 1, 1, 2)))
    wishes = ("Auto", "Retrain", "Rollback", "Alert", "Ignore")
    evidence = ("Required", "IfAvailable", "PostPromotion")
    return [
        one | {"onDegraded": dice.choice(wishes), "canaryEvidence": dice.choice(evidence)}
        for one in sorted(chosen, key=lambda one: str(one["name"]))
    ]


def _with_objective(dice: random.Random, slo: Body) -> Body:
    """The same with an objective on outcomes, a season, or another threshold."""
    if slo is ACCURACY and dice.random() < 0.4:
        season = dice.choice(({}, {"seasonality": "Weekly"}))
        return slo | {"objective": dice.choice(("0.8", "0.85"))} | season
    if slo is ACCURACY and dice.random() < 0.3:
        return {name: part for name, part in slo.items() if name != "maxRegression"}
    return slo


def _draw_own(dice: random.Random) -> list[Body]:
    """An SLO of each kind that a product's own metrics have, as benchmarks.virtual counts them."""
    lag = dice.choice(({}, {"lagSeconds": 60}, {"lagSeconds": 300}))
    return [
        CLICKS | {"indicator": {"events": lag}},
        CLICKS | {"name": "visits", "indicator": {"events": {"indicator": "clicks"}}},
        CLICKS | {"name": "sales", "indicator": {"counters": COUNTERS | lag}},
        CLICKS | {"name": "answers", "indicator": {"promql": PROMQL}},
        {
            "name": "score",
            "indicator": {"gauge": dice.choice(GAUGES)},
            "maxDrop": "20",
            "maxRegression": "10",
        },
    ]


def draw_shadow(dice: random.Random) -> Body:
    """A shadow phase: by Jobs, or by mirrored requests with any values that the CRD takes."""
    if dice.random() < 0.3:
        return {"command": ["score"], "intervalSeconds": 2 * BLOCK}
    schema = product_schema()["properties"]["spec"]["properties"]["rollout"]["properties"]["shadow"]
    values = schema["properties"]["mirror"]["properties"]
    mirror = {name: _draw_integer(dice, values[name]) for name in sorted(values)}
    return {"mirror": mirror, "intervalSeconds": dice.choice((10, BLOCK, 2 * BLOCK, 10 * BLOCK))}


def _draw_integer(dice: random.Random, schema: Body) -> int:
    """Any that the schema allows; its bounds and its default more often."""
    low, high = schema["minimum"], schema["maximum"]
    usual, other = schema.get("default", high), dice.randint(low, high)
    return int(dice.choice((low, high, usual, usual, other, other)))


def slowed(product: Body, pace: int) -> Body:
    """The product with longer blocks, and longer rollouts by as much."""
    spec = json.loads(json.dumps(product["spec"]))
    spec["analysis"]["blockSeconds"] *= pace
    if "maxDurationSeconds" in spec["rollout"]:
        spec["rollout"]["maxDurationSeconds"] *= pace
    return product | {"spec": spec}


def block_of(spec: Body) -> int:
    """Seconds of a block."""
    return int(spec["analysis"]["blockSeconds"])


def duration_of(spec: Body) -> int:
    """Seconds that a rollout may take."""
    return int(spec["rollout"].get("maxDurationSeconds", LONGEST_DURATION))


def _draw_rest(dice: random.Random, spec: Body) -> None:
    """Fields that are left out, challengers, and a lifecycle."""
    if dice.random() < 0.2:
        del spec["rollout"]["steps"]
    if dice.random() < 0.2:
        del spec["rollout"]["maxDurationSeconds"]
    if "retraining" in spec and dice.random() < 0.3:
        spec["retraining"]["schedule"] = dice.choice(
            (
                {"everySeconds": 7200},
                {"everyLabels": 20_000},
                {"everySeconds": 40_000, "everyLabels": 10**6},
            )
        )
    if dice.random() < 0.2:
        spec["lifecycle"] = dice.choice(("Draft", "Deprecated", "Retired"))
    if "route" in spec and dice.random() < 0.4:
        web, internal = ({"name": name, "namespace": "gateway"} for name in ("web", "internal"))
        parents = ([web, internal], [web | {"sectionName": "http"}, internal], [internal])
        spec["route"]["parentRefs"] = dice.choice(parents)


def route(number: int) -> Body:
    """A route of a product's own."""
    return {**GATEWAY, "path": f"/product-{number}"}


def draw_product(dice: random.Random, number: int, *, wide: bool = False) -> Body:
    """A product of either tenant; wide, with challengers and fields that are left out."""
    slos = draw_slos(dice, wide=wide)
    scaled = dice.random() < 0.2
    serving: Body = {
        "runtimeImage": RUNTIME,
        "feedback": {"secretRef": {"name": "feedback"}},
        "progressDeadlineSeconds": dice.choice((60, 600)),
        "resources": {"requests": {"cpu": "100m"}},
        **(
            {"autoscaling": {"minReplicas": 2, "maxReplicas": 8}}
            if scaled
            else {"replicas": dice.choice((1, 2, 4))}
        ),
    }
    evaluated = any(slo["name"] == "accuracy" for slo in slos) and dice.random() < 0.5
    counts = {"accuracy": {"bad": 1000, "total": 10_000}}
    spec: Body = {
        "owner": "group:default/catalog",
        "priority": dice.choice(("Critical", "High", "Medium", "Low")),
        "model": {"bento": bento("a"), **({"evaluation": counts} if evaluated else {})},
        "serving": serving,
        "slos": slos,
        "analysis": {"blockSeconds": BLOCK},
        "rollout": {"steps": list(dice.choice(STEPS)), "maxDurationSeconds": MAX_DURATION},
    }
    if dice.random() < 0.7:
        spec["route"] = route(number)
    if dice.random() < 0.6:
        spec["retraining"] = {
            "command": ["train"],
            "output": OUTPUT,
            "cooldownSeconds": dice.choice((0, 600, 86_400)),
        }
    if spec["priority"] == "High":
        spec["rollout"]["approval"] = "Manual"
    if wide:
        _draw_rest(copy(dice), spec)  # of a copy, as the shadow phase below
    if spec["priority"] != "Critical" and any(slo["name"] == "accuracy" for slo in slos):
        # Of a copy: all else of a seed's products is as it was before there were mirrors.
        shadow = draw_shadow(copy(dice))
        if spec["priority"] != "High" or "mirror" in shadow:
            spec["rollout"]["shadow"] = shadow
    most = 8 if scaled else serving["replicas"]
    if wide and most > 1 and copy(dice).random() < 0.3:
        spec["rollout"]["capacity"] = "Replace"
    if number and dice.random() < 0.2:
        first = {"namespace": NAMESPACES[0], "name": "product-0"}
        spec["dependsOn"] = [first]
    meta = {"name": f"product-{number}", "namespace": NAMESPACES[number % len(NAMESPACES)]}
    return {"metadata": meta, "spec": spec}

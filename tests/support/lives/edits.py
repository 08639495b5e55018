"""Edits of a spec, drawn at random: valid ones of any group of fields, and some that no operator can follow."""

from __future__ import annotations

import json
import random
from typing import Any, Final

from benchmarks.virtual.operator import SETTINGS
from benchmarks.virtual.structural import product_schema
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.operator_checks import check_context
from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import Direction
from tests.support.decisions.rollout_world import image
from tests.support.lives.anything import draw_any
from tests.support.lives.products import (
    BLOCK,
    OUTPUT,
    STEPS,
    bento,
    draw_shadow,
    draw_slos,
    route,
)

Body = dict[str, Any]

TRIES: Final = 30
"""Draws of a value until the rest of the spec allows it."""
DIGITS: Final = "abcdef"
MANAGER: Final = {"members": [{"username": "eva", "name": "Eva", "role": "DataProductManager"}]}
SHORT_BLOCKS: Final = (5, 30)
"""Seconds of a block that the CRD takes, and an operator with scrapes of 15 s doesn't."""
BROKEN: Final = {"good": "sum(((good[$block]", "total": "sum(total[$block])"}
"""Expressions that the CRD takes, and PromQL doesn't."""
FILTERS: Final = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "URLRewrite": "urlRewrite",
    "ExtensionRef": "extensionRef",
}
PATHS: Final = {
    "ReplaceFullPath": "replaceFullPath",
    "ReplacePrefixMatch": "replacePrefixMatch",
}
PASSED_ON: Final = frozenset(
    {"runtimeClassName", "resourceClaims", "volumes", "volumeMounts", "initContainers"}
)
"""Fields of serving that only reach the pod template, as priorityClassName does, which is drawn."""
HEAVY: Final = frozenset({"replicas", "autoscaling", "feedback", "runtimeImage", "resources"})
"""Fields of serving with draws of their own."""


def draw_edit(group: str, spec: Body, seed: int) -> Body:
    """Draw another value of a group of fields.

    Parameters
    ----------
    group : e.g. `slos` or `rollout.steps`. spec : as it is. seed : of the draw.

    Returns
    -------
    A merge patch of the spec that admission takes; an empty one where no draw is valid.
    """
    dice = random.Random(f"{group} {seed}")
    for _ in range(TRIES):
        patch = _patch(dice, group, spec)
        if _is_taken(spec, patch):
            return patch
    return {}


def invalid_edit(spec: Body, seed: int) -> Body:
    """An edit that admission takes and the operator refuses; an empty one where it would take it."""
    broken = {"name": "broken", "indicator": {"promql": dict(BROKEN)}, "maxDrop": "0.1"}
    patches: tuple[Body, ...] = (
        *({"analysis": {"blockSeconds": seconds}} for seconds in SHORT_BLOCKS),
        {"slos": [*(spec.get("slos") or ()), broken]},
    )
    patch = patches[seed % len(patches)]
    parsed = _parse(_merged(spec, patch))
    return patch if parsed and check_context(parsed.spec, SETTINGS) else {}


def corrected_spec(spec: Body, number: int) -> Body:
    """What people correct at the end: blocks, durations, consumers and a lifecycle with which rollouts end.

    `number` is the product's; its route leads no other product's requests to it.
    """
    patch: Body = {"lifecycle": None, "suspend": False}
    block = spec["analysis"]["blockSeconds"]
    if block not in (BLOCK, 5 * BLOCK, 15 * BLOCK):
        block = BLOCK
        patch["analysis"] = {"blockSeconds": block}
    if spec["rollout"].get("maxDurationSeconds") != 120 * block:
        patch["rollout"] = {"maxDurationSeconds": 120 * block}
    if spec["rollout"].get("consumers"):
        patch["rollout"] = {**patch.get("rollout", {}), "consumers": None}
    slos = [slo for slo in spec.get("slos") or () if slo["name"] != "broken"]
    if slos != (spec.get("slos") or []):
        patch["slos"] = slos
    if "schedule" in (spec.get("retraining") or {}):
        patch["retraining"] = {"schedule": None}
    if spec.get("route"):
        patch["route"] = _replaced(route(number), spec["route"])
    return patch


def _is_taken(spec: Body, patch: Body) -> bool:
    merged = _merged(spec, patch)
    parsed = _parse(merged)
    return parsed is not None and merged != spec and not check_context(parsed.spec, SETTINGS)


def _parse(spec: Body) -> DataProduct | None:
    try:
        return DataProduct.parse({"metadata": {"name": "any"}, "spec": spec})
    except InvalidProduct:
        return None


def _merged(live: Any, change: Any) -> Any:
    if not isinstance(change, dict) or not isinstance(live, dict):
        return json.loads(json.dumps(change))
    merged = dict(live)
    for name, part in change.items():
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(live.get(name), part)
    return merged


def _patch(dice: random.Random, group: str, spec: Body) -> Body:
    name, _, below = group.partition(".")
    value = DRAWS[group](dice, spec) if group in DRAWS else _any_of(dice, group)
    if group == "retraining.podTemplate":
        command = None if value else ["train"]
        return {"retraining": {"command": command, "output": OUTPUT, below: value}}
    if name == "retraining" and not spec.get("retraining"):
        return {"retraining": {"command": ["train"], "output": OUTPUT, below: value}}
    return (
        {name: {below: _replaced(value, (spec.get(name) or {}).get(below))}}
        if below
        else {name: _replaced(value, spec.get(name)) if group not in PARTIAL else value}
    )


def _replaced(value: Any, before: Any) -> Any:
    """A patch that leaves nothing of what was there."""
    if isinstance(value, dict) and isinstance(before, dict):
        return {name: None for name in before if name not in value} | {
            name: _replaced(part, before.get(name)) for name, part in value.items()
        }
    return value


def _schema(group: str) -> Body:
    schema: Body = product_schema()["properties"]["spec"]
    for name in group.split("."):
        schema = schema["properties"][name]
    return schema


def _any_of(dice: random.Random, group: str) -> Any:
    """Any value of the schema, or none of an optional field."""
    if dice.random() < 0.15 and group not in ("owner", "retraining.output", "model.bento"):
        return None
    return _consistent(draw_any(dice, _schema(group), dice.choice((0.2, 0.6, 0.95))))


def _consistent(value: Any) -> Any:
    """A drawn value without the alternatives that exclude each other."""
    if isinstance(value, list):
        return [_consistent(one) for one in value]
    if not isinstance(value, dict):
        return value
    for kinds in (FILTERS, PATHS):
        given = [kind for kind, name in kinds.items() if name in value]
        if value.get("type") in kinds and given:
            kept = given[-1] if value["type"] not in given else value["type"]
            others = set(kinds.values()) - {kinds[kept]}
            value = {name: part for name, part in value.items() if name not in others}
            value["type"] = kept
    if "value" in value and "valueFrom" in value:
        value.pop("valueFrom")
    if len(value.get("valueFrom", ())) > 1:
        value["valueFrom"] = dict([min(value["valueFrom"].items())])
    return {name: _consistent(part) for name, part in value.items()}


def _serving(dice: random.Random, spec: Body) -> Body:
    """Return an edit that sets one field of spec.serving to another value."""
    fields = _schema("serving")["properties"]
    name = dice.choice(sorted(fields.keys() - PASSED_ON))
    if name in HEAVY:
        return dice.choice(
            [
                {"replicas": dice.choice((None, 1, 2, 3)), "autoscaling": None},
                {"replicas": None, "autoscaling": {"minReplicas": dice.choice((1, 2)), "maxReplicas": 8,
                                                   "targetCPUUtilizationPercentage": dice.choice((None, 1, 50, 100))}},
                {"runtimeImage": f"registry.example/runtime@sha256:{dice.choice('de') * 64}"},
                {"runtimeImage": None},
                {"feedback": None},
                {"resources": _replaced({}, spec["serving"].get("resources"))},
                {"runtimeImage": "registry.example/runtime:latest"},
                {"feedback": {"secretRef": {"name": dice.choice(("feedback", "other"))}}},
                {"resources": _replaced({"requests": {"cpu": dice.choice(("100m", "1"))},
                                         "limits": {"memory": "1Gi"}}, spec["serving"].get("resources"))},
            ]
        )  # fmt: skip
    if name == "latencyBucketsMilliseconds":
        return {name: dice.choice((None, [250], [1, 250, 3_600_000], [100, 250, 500]))}
    if name == "progressDeadlineSeconds":
        return {name: dice.choice((None, 10, 60, 600, 86_400))}
    value = _any_of(dice, f"serving.{name}")
    return {name: _replaced(value, spec["serving"].get(name))}


def _route(dice: random.Random, spec: Body) -> Body | None:
    """Another value of one field of the route; another route; or none."""
    if not spec.get("route") or dice.random() < 0.15:
        return route(dice.randrange(4)) if not spec.get("route") else None
    before = spec["route"]
    name = dice.choice(("parentRefs", "hostnames", "path", "rules", "rules", "rules"))
    if name == "parentRefs":
        return before | {name: draw_parents(dice)}
    kept = {n: part for n, part in before.items() if n not in ("path", "rules", name)}
    return kept | {
        name: _consistent(draw_any(dice, _schema(f"route.{name}"), dice.choice((0.3, 0.7))))
    }


def draw_parents(dice: random.Random) -> list[Body]:
    """Gateways that exist, one or both, whole or by a listener."""
    web, internal = ({"name": name, "namespace": "gateway"} for name in ("web", "internal"))
    return dice.choice(
        [
            [web],
            [web, internal],
            [internal],
            [web | {"sectionName": "http"}],
            [web | {"port": 80}],
            [web | {"sectionName": "http"}, internal | {"sectionName": "http"}],
        ]
    )


def _bento(dice: random.Random, _: Body) -> Body:
    digit = dice.choice(DIGITS)
    if dice.random() < 0.2:
        return {
            "url": f"https://models.example/{digit}.bento", "sha256": digit * 64,
            "version": f"v{digit}", "service": "Search",
            **dice.choice(({}, {"credentialsSecretRef": {"name": "bucket"}})),
        }  # fmt: skip
    return bento(digit)


def _evaluation(dice: random.Random, spec: Body) -> Body | None:
    known = [slo["name"] for slo in spec.get("slos") or ()]
    if not known or dice.random() < 0.2:
        return None
    total = dice.choice((1, 100, 10_000, 2**53))
    bad = dice.choice((0, total // 10, total))
    return {name: {"bad": bad, "total": total} for name in known[: dice.randint(1, 2)]}


def _podtemplate(dice: random.Random, _: Body) -> Body | None:
    if dice.random() < 0.2:
        return None
    drawn = _consistent(
        draw_any(dice, _schema("retraining.podTemplate"), dice.choice((0.1, 0.3, 0.6)))
    )
    drawn["spec"]["containers"] = drawn["spec"]["containers"][:1]
    return dict(drawn)


def _schedule(dice: random.Random, _: Body) -> Body | None:
    return dice.choice(
        (
            None,
            {"everySeconds": 60},
            {"everySeconds": 7200},
            {"everyLabels": 100},
            {"everyLabels": 20_000},
            {"everySeconds": 31_536_000, "everyLabels": 1_000_000_000},
        )
    )


def _retraining_gate(dice: random.Random, spec: Body) -> Body:
    known = [slo["name"] for slo in spec.get("slos") or ()] or ["other"]
    margins = ({}, {"maxRegression": "0.05"})
    return {name: dice.choice(margins) for name in known[: dice.randint(1, 2)]}


def _goals(dice: random.Random, spec: Body) -> list[Body]:
    """Goals of the business, of which an SLO of the product may measure each."""
    known = [slo["name"] for slo in spec.get("slos") or ()]
    goals = []
    for number in range(dice.randint(1, 2)):
        goal: Body = {"name": f"goal-{number}", "target": dice.choice(("0.032", "0.9", "95"))}
        goal["direction"] = dice.choice(list(Direction)).value
        goal |= dice.choice(({}, {"unit": "%"}))
        if known and dice.random() < 0.5:
            goal["slo"] = dice.choice(known)
            goal |= {"unit": "%"} if goal["target"] == "95" else {}
            worth = {"amount": "12000", "unit": "EUR a month"}
            goal |= dice.choice(({}, {"valuePerPoint": worth}))
        goals.append(goal)
    return goals


def _depends(dice: random.Random, _: Body) -> list[Body]:
    known = [
        {"namespace": "catalog", "name": "product-0"},
        {"namespace": "market", "name": "product-1"},
        {"name": "unknown"},
    ]
    return dice.sample(known, dice.randint(0, 3))


def _consumers(dice: random.Random, spec: Body) -> Body | None:
    """Consumers by some of the route's listeners."""
    parents = (spec.get("route") or {}).get("parentRefs") or ()
    if not parents or dice.random() < 0.25:
        return None
    names = dice.sample(("product-0", "market/product-1", "unknown"), dice.randint(1, 3))
    return {"names": names, "parentRefs": dice.sample(parents, dice.randint(1, len(parents)))}


def _preview(dice: random.Random, spec: Body) -> Body | None:
    """Previews by some of the route's listeners."""
    parents = (spec.get("route") or {}).get("parentRefs") or ()
    if not parents or dice.random() < 0.25:
        return None
    listeners = dice.sample(parents, dice.randint(1, len(parents)))
    return {"parentRefs": listeners, "durationSeconds": dice.choice((0, 600, 86_400))}


def _capacity(_: random.Random, spec: Body) -> str:
    """The other one, where the pods allow it."""
    serving = spec.get("serving") or {}
    most = (serving.get("autoscaling") or {}).get("maxReplicas", serving.get("replicas", 1))
    is_double = (spec.get("rollout") or {}).get("capacity", "Double") == "Double"
    return "Replace" if is_double and most > 1 else "Double"


def _shadow(dice: random.Random, spec: Body) -> Body | None:
    if dice.random() < 0.25:
        return None
    extra = {
        name: _consistent(draw_any(dice, _schema(f"rollout.shadow.{name}"), 0.5))
        for name in ("resources", "env", "timeoutSeconds")
        if dice.random() < 0.3
    }
    drawn = draw_shadow(dice)
    if "command" in drawn and dice.random() < 0.5:
        drawn["command"] = ["python", "score.py"]
    return drawn | extra


def _lifecycle(dice: random.Random, _: Body) -> str:
    return str(dice.choice(_schema("lifecycle")["enum"]))


DRAWS: Final[dict[str, Any]] = {
    "dependsOn": _depends,
    "lifecycle": _lifecycle,
    "team": lambda dice, _: MANAGER if dice.random() < 0.5 else _any_of(dice, "team"),
    "model.bento": _bento,
    "model.evaluation": _evaluation,
    "serving": _serving,
    "route": _route,
    "slos": lambda dice, _: draw_slos(dice, wide=True),
    "analysis": lambda dice, _: {"blockSeconds": dice.choice((60, 60, 300, 300, 3600))},
    "retraining.mode": lambda dice, _: dice.choice(("Automatic", "Manual", "Disabled")),
    "retraining.output": lambda dice, _: dice.choice((OUTPUT, "registry.example/other")),
    "retraining.podTemplate": _podtemplate,
    "retraining.schedule": _schedule,
    "retraining.gate": _retraining_gate,
    "businessGoals": _goals,
    "rollout.steps": lambda dice, _: dice.choice((None, *map(list, STEPS), [1, 99])),
    "rollout.maxDurationSeconds": lambda dice, _: dice.choice((None, 10, 3600, 7200, 2_678_400)),
    "rollout.consumers": _consumers,
    "rollout.preview": _preview,
    "rollout.capacity": _capacity,
    "rollout.shadow": _shadow,
}
"""Groups whose values mean something to the virtual world; any other value is drawn by its schema."""
PARTIAL: Final = frozenset({"serving"})
"""Groups of which a draw changes a part."""


DETAILS: Final = (
    "displayName", "description", "version", "domain", "owner", "team", "markets", "journeys",
    "businessGoals", "support", "links", "modelCard", "compliance", *["serving"] * 8,
    *["route"] * 3, "rollout.historyLimit",
)  # fmt: skip
"""Groups of which a product has many from its beginning."""
OF_RETRAINING: Final = (
    "retraining.pushSecretRef", "retraining.resources", "retraining.env", "retraining.gate",
    "retraining.timeoutSeconds", "retraining.serviceAccountName", "retraining.podTemplate",
    "retraining.queue",
)  # fmt: skip


def with_details(product: Body, dice: random.Random) -> Body:
    """The product with values of fields that aren't drawn on purpose."""
    spec = dict(product["spec"])
    for number, group in enumerate((*DETAILS, *(OF_RETRAINING if "retraining" in spec else ()))):
        if dice.random() < 0.4:
            drawn = draw_edit(group, spec, dice.randrange(1_000_000) + number)
            if not _is_heavy(drawn):
                spec = _merged(spec, drawn)
    return product | {"spec": spec}


def _is_heavy(patch: Body) -> bool:
    return bool(HEAVY & patch.get("serving", {}).keys()) or (
        "route" in patch and not patch["route"]
    )


def other_bento(spec: Body) -> Body:
    """The same digest under another name, or another digest under the same name."""
    one = spec["model"]["bento"]
    digits = [digit for digit in DIGITS if image(digit) != one.get("image")]
    return bento(digits[0], one["version"])

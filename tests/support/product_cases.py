"""Mistakes that a person can make in a DataProduct, and the nearest thing that is right.

The same table is put to the types and to a real API server: both accept the one and refuse the
other, and both say where and what to do.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

EXAMPLE = Path(__file__).parent.parent / "data" / "products" / "search-ranking.yaml"
REMOVED = object()
HEX = "c" * 64

Change = dict[str, Any]
"""New values by path (`spec.slos.0.objective`); REMOVED takes a field away."""


@dataclass(frozen=True)
class Case:
    """One rule: what is fine, what isn't, and what the refusal says.

    `at` is the path in the error, `says` a part of its message.
    """

    name: str
    accepted: Change
    refused: Change
    at: str
    says: str
    other: tuple[Change, ...] = field(default=())
    """More that is refused for the same reason."""


def example() -> dict[str, Any]:
    """The full example, fresh."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    return document


def changed(change: Change) -> dict[str, Any]:
    """The example with this change."""
    document = example()
    for path, value in change.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        target: Any = document
        for part in parents:
            target = target.setdefault(part, {}) if isinstance(target, dict) else target[part]
        if value is REMOVED:
            del target[last]
        else:
            target[last] = copy.deepcopy(value)
    return document


BENTO_URL = {
    "spec.model.bento.image": REMOVED,
    "spec.model.bento.url": "https://files.example/search.tar",
}
NO_BUCKETS = {"spec.serving.latencyBucketsMilliseconds": REMOVED}
TEMPLATE = {"spec": {"containers": [{"name": "train", "command": ["train"]}]}}


def template(metadata: Any = None, **spec: Any) -> Change:
    """The example with a pod template for its trainings."""
    body = {"spec": TEMPLATE["spec"] | spec} | ({"metadata": metadata} if metadata else {})
    return {"spec.retraining.command": REMOVED, "spec.retraining.podTemplate": body}


EXTENSION = {
    "type": "ExtensionRef",
    "extensionRef": {"group": "traefik.io", "kind": "Middleware", "name": "a"},
}
HEADERS = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["a"]}}
NEW_PREFIX = {
    "type": "URLRewrite",
    "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
}

RULES = (
    Case(
        "bad events are part of all events",
        {"spec.model.evaluation": {"accuracy": {"bad": 10, "total": 10}}},
        {"spec.model.evaluation": {"accuracy": {"bad": 11, "total": 10}}},
        "spec.model.evaluation.accuracy.bad",
        "must not exceed total",
    ),
    Case(
        "a hold-out is of the service levels that are declared",
        {"spec.model.evaluation": {"accuracy": {"bad": 10, "total": 100}}},
        {"spec.model.evaluation": {"acuracy": {"bad": 10, "total": 100}}},
        "spec.model",
        "names an SLO that isn't in slos",
        ({"spec.slos": REMOVED},),
    ),
    Case(
        "a bento is an image or an archive",
        BENTO_URL | {"spec.model.bento.sha256": HEX},
        {"spec.model.bento.url": "https://files.example/a.tar", "spec.model.bento.sha256": HEX},
        "spec.model.bento.image",
        "exactly one of image",
        ({"spec.model.bento.image": REMOVED},),
    ),
    Case(
        "an archive has a checksum",
        BENTO_URL | {"spec.model.bento.sha256": HEX},
        BENTO_URL,
        "spec.model.bento.sha256",
        "url and sha256 belong together",
        ({"spec.model.bento.sha256": HEX},),
    ),
    Case(
        "credentials are for archives",
        BENTO_URL
        | {"spec.model.bento.sha256": HEX, "spec.model.bento.credentialsSecretRef": {"name": "s3"}},
        {"spec.model.bento.credentialsSecretRef": {"name": "s3"}},
        "spec.model.bento.credentialsSecretRef",
        "use serving.imagePullSecrets",
    ),
    Case(
        "a variable comes from one place",
        {"spec.serving.env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]},
        {"spec.serving.env": [{"name": "A", "valueFrom": {}}]},
        "spec.serving.env[0].valueFrom",
        "exactly one of secretKeyRef",
        (
            {
                "spec.serving.env.1.valueFrom.fieldRef": {"fieldPath": "metadata.name"},
            },
        ),
    ),
    Case(
        "a variable has a value or a source",
        {"spec.serving.env": [{"name": "A", "value": "a"}]},
        {"spec.serving.env.1.value": "a"},
        "spec.serving.env[1].value",
        "either value or valueFrom",
    ),
    Case(
        "the operator's variables are the operator's",
        {"spec.serving.env": [{"name": "MY_SLUICEGATE_X", "value": "a"}]},
        {"spec.serving.env": [{"name": "SLUICEGATE_X", "value": "a"}]},
        "spec.serving.env[0].name",
        "choose another",
        ({"spec.retraining.env": [{"name": "BENTOML_HOME", "value": "a"}]},),
    ),
    Case(
        "an autoscaler's bounds are in order",
        {"spec.serving.replicas": REMOVED, "spec.serving.autoscaling": {"maxReplicas": 1}},
        {
            "spec.serving.replicas": REMOVED,
            "spec.serving.autoscaling": {"minReplicas": 3, "maxReplicas": 2},
        },
        "spec.serving.autoscaling.minReplicas",
        "must not exceed maxReplicas",
    ),
    Case(
        "pods are counted or scaled",
        {"spec.serving.replicas": REMOVED, "spec.serving.autoscaling": {"maxReplicas": 4}},
        {"spec.serving.autoscaling": {"maxReplicas": 4}},
        "spec.serving.replicas",
        "either replicas or autoscaling",
    ),
    Case(
        "an autoscaler aims at a share of a request",
        {
            "spec.serving.replicas": REMOVED,
            "spec.serving.autoscaling": {"maxReplicas": 4},
            "spec.serving.resources": {"limits": {"cpu": "1"}},
        },
        {
            "spec.serving.replicas": REMOVED,
            "spec.serving.autoscaling": {"maxReplicas": 4},
            "spec.serving.resources": {"requests": {"memory": "1Gi"}},
        },
        "spec.serving.autoscaling",
        "autoscaling needs resources.requests.cpu",
    ),
    Case(
        "nobody depends on oneself",
        {"spec.dependsOn": [{"name": "search-ranking", "namespace": "elsewhere"}]},
        {"spec.dependsOn": [{"name": "search-ranking"}]},
        "spec.dependsOn",
        "names the product itself",
    ),
    Case(
        "the operator's labels are the operator's",
        {"spec.serving.podLabels": {"example.com/app": "a"}},
        {"spec.serving.podLabels": {"app.kubernetes.io/name": "a"}},
        "spec.serving.podLabels",
        "use a prefix of your own",
        ({"spec.serving.podLabels": {"sluicegate.dev/version": "v9"}},),
    ),
    Case(
        "label keys are label keys",
        {"spec.serving.podLabels": {"a.b/c": "d"}},
        {"spec.serving.podLabels": {"-a": "d"}},
        "spec.serving.podLabels",
        "match",
        ({"spec.serving.nodeSelector": {"a b": "d"}},),
    ),
    Case(
        "only a header has a name",
        {"spec.serving.market": {"from": "Header", "name": "x-country"}},
        {"spec.serving.market": {"from": "Host", "name": "x-country"}},
        "spec.serving.market.name",
        "leave it out where from is Host or Path",
    ),
    Case(
        "histogram bounds increase",
        {"spec.serving.latencyBucketsMilliseconds": [100, 250]},
        {"spec.serving.latencyBucketsMilliseconds": [250, 250]},
        "spec.serving.latencyBucketsMilliseconds",
        "must increase",
    ),
    Case(
        "an indicator has one kind",
        {"spec.slos.0.indicator": {"outcomes": {}}},
        {"spec.slos.0.indicator": {"outcomes": {}, "availability": {}}},
        "spec.slos[0].indicator",
        "exactly one of availability",
        ({"spec.slos.0.indicator": {}},),
    ),
    Case(
        "an objective lies between 0 and 1",
        {"spec.slos.0.objective": "0.9999"},
        {"spec.slos.0.objective": "1.0"},
        "spec.slos[0].objective",
        "between 0 and 1, both excluded",
        ({"spec.slos.0.objective": "0"},),
    ),
    Case(
        "an SLO has a level",
        {"spec.slos.2.objective": REMOVED},
        {"spec.slos.0.objective": REMOVED},
        "spec.slos[0].objective",
        "set objective",
    ),
    Case(
        "a gauge has no ratio",
        {"spec.slos.5.maxDrop": "12.5"},
        {"spec.slos.5.objective": "0.9"},
        "spec.slos[5].objective",
        "indicator.gauge.bound",
    ),
    Case(
        "margins of counts are shares",
        {"spec.slos.2.maxDrop": "0.05"},
        {"spec.slos.2.maxDrop": "3"},
        "spec.slos[2].maxDrop",
        "are shares of all events",
        ({"spec.slos.2.maxRegression": "1"},),
    ),
    Case(
        "margins are above 0",
        {"spec.slos.5.maxRegression": "0.1"},
        {"spec.slos.5.maxDrop": "0"},
        "spec.slos[5].maxDrop",
        "must be above 0",
        ({"spec.slos.5.maxRegression": "-1"},),
    ),
    Case(
        "the hold-out's margin is a share",
        {"spec.retraining.gate": {"accuracy": {"maxRegression": "0.5"}}},
        {"spec.retraining.gate": {"accuracy": {"maxRegression": "0"}}},
        "spec.retraining.gate.accuracy.maxRegression",
        "between 0 and 1",
    ),
    Case(
        "a schedule has a period",
        {"spec.retraining.schedule": {"everyLabels": 1000}},
        {"spec.retraining.schedule": {}},
        "spec.retraining.schedule.everyLabels",
        "set everySeconds, everyLabels, or both",
    ),
    Case(
        "training is a command or a template",
        {"spec.retraining.command": REMOVED, "spec.retraining.podTemplate": TEMPLATE},
        {"spec.retraining.podTemplate": TEMPLATE},
        "spec.retraining.command",
        "exactly one of command",
        ({"spec.retraining.command": REMOVED}, {"spec.retraining.command": []}),
    ),
    Case(
        "one container trains",
        template(initContainers=[{"name": "a"}, {"name": "b"}]),
        template(containers=[{"name": "a"}, {"name": "b"}]),
        "spec.retraining.podTemplate.spec.containers",
        "give exactly one container",
        (template(containers=[]),),
    ),
    Case(
        "a template leaves the operator's variables alone",
        template(containers=[{"env": [{"name": "A", "value": "b"}]}]),
        template(containers=[{"env": [{"name": "SLUICEGATE_OUTPUT", "value": "b"}]}]),
        "spec.retraining.podTemplate.spec.containers[0].env[0].name",
        "set by the operator",
        (template(containers=[{"env": [{"name": "DOCKER_CONFIG", "value": "b"}]}]),),
    ),
    Case(
        "a template leaves the operator's volumes alone",
        template(volumes=[{"name": "data", "emptyDir": {}}]),
        template(volumes=[{"name": "bento", "emptyDir": {}}]),
        "spec.retraining.podTemplate.spec.volumes[0].name",
        "rename it",
    ),
    Case(
        "a template leaves the operator's labels alone",
        template(metadata={"labels": {"team": "a"}}),
        template(metadata={"labels": {"app.kubernetes.io/name": "a"}}),
        "spec.retraining.podTemplate.metadata.labels",
        "use a prefix of your own",
    ),
    Case(
        "steps increase",
        {"spec.rollout.steps": [1, 99]},
        {"spec.rollout.steps": [25, 5]},
        "spec.rollout.steps",
        "steps must increase",
        ({"spec.rollout.steps": [5, 5]},),
    ),
    Case(
        "a path or rules",
        {"spec.route.rules": REMOVED, "spec.route.path": "/search"},
        {"spec.route.path": "/search"},
        "spec.route.path",
        "either path or rules",
    ),
    Case(
        "a path that is matched is plain",
        {"spec.route.rules.0.matches": [{"path": {"value": "/a%20b/(c)"}}]},
        {"spec.route.rules.0.matches": [{"path": {"value": "/a//b"}}]},
        "spec.route.rules[0].matches[0].path.value",
        "must be a plain path",
        tuple(
            {"spec.route.rules.0.matches": [{"path": {"value": value}}]}
            for value in ("/a/../b", "/a/./b", "/a/..", "/a/.", "/a%2fb", "/a%2Fb", "/{a}", "/a b")
        ),
    ),
    Case(
        "so is the short one",
        {"spec.route.rules": REMOVED, "spec.route.path": "/search/"},
        {"spec.route.rules": REMOVED, "spec.route.path": "/search//a"},
        "spec.route.path",
        "must be a plain path",
        ({"spec.route.rules": REMOVED, "spec.route.path": "/a/.."},),
    ),
    Case(
        "a try isn't longer than the request",
        {"spec.route.rules.0.timeouts": {"request": "1m", "backendRequest": "60s"}},
        {"spec.route.rules.0.timeouts": {"request": "10s", "backendRequest": "10s1ms"}},
        "spec.route.rules[0].timeouts.backendRequest",
        "must not be longer than request",
        ({"spec.route.rules.0.timeouts": {"request": "1m", "backendRequest": "1h"}},),
    ),
    Case(
        "a request without a limit takes any try",
        {"spec.route.rules.0.timeouts": {"request": "0s", "backendRequest": "1h"}},
        {"spec.route.rules.0.timeouts": {"request": "1s", "backendRequest": "1h"}},
        "spec.route.rules[0].timeouts.backendRequest",
        "must not be longer than request",
    ),
    Case(
        "a filter's type comes once",
        {"spec.route.rules.0.filters": [EXTENSION, EXTENSION]},
        {"spec.route.rules.0.filters": [HEADERS, HEADERS]},
        "spec.route.rules[0].filters",
        "a type at most once",
    ),
    Case(
        "a prefix is replaced where one is matched",
        {
            "spec.route.rules.0.filters": [NEW_PREFIX],
            "spec.route.rules.0.matches": [{"path": {"value": "/a"}}],
        },
        {
            "spec.route.rules.0.filters": [NEW_PREFIX],
            "spec.route.rules.0.matches": [{"path": {"value": "/a"}}, {"path": {"value": "/b"}}],
        },
        "spec.route.rules[0].matches",
        "must hold exactly one",
        (
            {"spec.route.rules.0.filters": [NEW_PREFIX], "spec.route.rules.0.matches": REMOVED},
            {
                "spec.route.rules.0.filters": [NEW_PREFIX],
                "spec.route.rules.0.matches": [{"path": {"type": "Exact", "value": "/a"}}],
            },
        ),
    ),
    Case(
        "a Gateway is named once, or by listeners",
        {"spec.route.parentRefs": [
            {"name": "web", "sectionName": "a"}, {"name": "web", "sectionName": "b"},
            {"name": "web", "namespace": "other"},
        ]},
        {"spec.route.parentRefs": [{"name": "web"}, {"name": "web", "port": 80}]},
        "spec.route.parentRefs",
        "must each name another sectionName",
        (
            {"spec.route.parentRefs": [{"name": "web"}, {"name": "web", "sectionName": "a"}]},
            {"spec.route.parentRefs": [{"name": "web", "sectionName": "a"}] * 2},
        ),
    ),
    Case(
        "a rewrite says what it rewrites",
        {"spec.route.rules.0.filters.0.urlRewrite.path": {
            "type": "ReplaceFullPath", "replaceFullPath": "/a",
        }},
        {"spec.route.rules.0.filters.0.urlRewrite.path": {"type": "ReplaceFullPath"}},
        "spec.route.rules[0].filters[0].urlRewrite.path.type",
        "set the field that type names",
    ),
    Case(
        "a filter says what it does",
        {"spec.route.rules.0.filters": [{
            "type": "ExtensionRef",
            "extensionRef": {"group": "traefik.io", "kind": "Middleware", "name": "a"},
        }]},
        {"spec.route.rules.0.filters": [{"type": "ExtensionRef"}]},
        "spec.route.rules[0].filters[0].type",
        "set the field that type names",
        ({"spec.route.rules.0.filters.0.type": "RequestHeaderModifier"},),
    ),
    Case(
        "a product in production has a manager",
        {"spec.lifecycle": "Development", "spec.team": REMOVED},
        {"spec.team": REMOVED},
        "spec.team",
        "DataProductManager",
        ({"spec.team.members": [{"username": "a", "role": "DataScientist"}]},),
    ),
    Case(
        "a runtime in production is pinned",
        {"spec.lifecycle": "Development", "spec.serving.runtimeImage": "registry.example/rt:1"},
        {"spec.serving.runtimeImage": "registry.example/rt:1"},
        "spec.serving",
        "named by digest",
    ),
    Case(
        "a latency threshold is a bucket bound",
        NO_BUCKETS | {"spec.slos.1.indicator.latency.thresholdMilliseconds": 500},
        NO_BUCKETS | {"spec.slos.1.indicator.latency.thresholdMilliseconds": 300},
        "spec.slos",
        "must be a bound of the request histogram",
        ({"spec.slos.1.indicator.latency.thresholdMilliseconds": 500},),
    ),
)  # fmt: skip
"""Each rule that is written in CEL, and in Python beside it."""

NAMES = (
    Case(
        "a name leaves room for what is derived from it",
        {"metadata.name": "a" * 40},
        {"metadata.name": "a" * 41},
        "metadata",
        "40 characters",
    ),
    Case(
        "a name starts with a letter",
        {"metadata.name": "a1"},
        {"metadata.name": "1a"},
        "metadata",
        "start with a letter",
        ({"metadata.name": "a.b"},),
    ),
)

FIELDS = (
    Case("owner is required", {"spec.owner": "team-a"}, {"spec.owner": REMOVED}, "spec.owner", ""),
    Case("model is required", {}, {"spec.model": REMOVED}, "spec.model", ""),
    Case(
        "no unknown words", {"spec.lifecycle": "Draft"}, {"spec.lifecycle": "production"},
        "spec.lifecycle", "Draft",
    ),
    Case("a number is a number", {}, {"spec.serving.replicas": "2"}, "spec.serving.replicas", ""),
    Case("a string is a string", {}, {"spec.slos.0.objective": 0.999}, "spec.slos[0].objective", ""),
    Case("markets are countries", {}, {"spec.markets": ["fr"]}, "spec.markets[0]", ""),
    Case("a market comes once", {}, {"spec.markets": ["FR", "FR"]}, "spec.markets", ""),
    Case(
        "an SLO's name comes once", {}, {"spec.slos.1.name": "availability"}, "spec.slos", "",
    ),
    Case("a dependency comes once", {
        "spec.dependsOn": [{"name": "a"}, {"name": "a", "namespace": "b"}],
    }, {"spec.dependsOn": [{"name": "a"}, {"name": "a"}]}, "spec.dependsOn", ""),
    Case("steps have bounds", {}, {"spec.rollout.steps": [5, 100]}, "spec.rollout.steps[1]", ""),
    Case("there is a step", {}, {"spec.rollout.steps": []}, "spec.rollout.steps", ""),
    Case(
        "blocks have a length", {"spec.analysis.blockSeconds": 5},
        {"spec.analysis.blockSeconds": 4}, "spec.analysis.blockSeconds", "",
    ),
    Case(
        "a bento is named by digest", {},
        {"spec.model.bento.image": "registry.example/bentos/search-ranking:v1"},
        "spec.model.bento.image", "",
    ),
    Case(
        "a bento's version is a label", {"spec.model.bento.version": "v1.2_rc-3"},
        {"spec.model.bento.version": "V1"}, "spec.model.bento.version", "",
    ),
    Case(
        "an archive is fetched by a known way",
        BENTO_URL | {"spec.model.bento.sha256": HEX, "spec.model.bento.url": "pvc://models/a.tar"},
        BENTO_URL | {"spec.model.bento.sha256": HEX, "spec.model.bento.url": "http://a.example/b"},
        "spec.model.bento.url", "",
    ),
    Case(
        "an amount is a quantity", {"spec.serving.resources.requests": {"cpu": 2}},
        {"spec.serving.resources.requests": {"cpu": "two"}}, "spec.serving.resources.requests.cpu", "",
    ),
    Case(
        "a counter is a metric's name", {},
        {"spec.slos.4.indicator.counters.good": "a{b}"}, "spec.slos[4].indicator.counters.good", "",
    ),
    Case(
        "a role is one word", {}, {"spec.team.members.1.role": "data scientist"},
        "spec.team.members[1].role", "",
    ),
    Case(
        "a version of the product is semantic", {"spec.version": "1.0.0-rc.1"},
        {"spec.version": "v1"}, "spec.version", "",
    ),
    Case(
        "an output is a repository", {"spec.retraining.output": "localhost:5000/a"},
        {"spec.retraining.output": "https://registry.example/a"}, "spec.retraining.output", "",
    ),
    Case(
        "a duration is the Gateway API's", {"spec.route.rules.0.timeouts.request": "1m30s"},
        {"spec.route.rules.0.timeouts.request": "10"}, "spec.route.rules[0].timeouts.request", "",
    ),
    Case("a mirror would count twice", {}, {
        "spec.route.rules.0.filters": [{"type": "RequestMirror"}],
    }, "spec.route.rules[0].filters[0].type", ""),
    Case(
        "a rule's name is an object's", {"spec.route.rules.0.name": "search.v1"},
        {"spec.route.rules.0.name": "Search rule"}, "spec.route.rules[0].name", "",
    ),
    Case(
        "a rewritten host is one host",
        {"spec.route.rules.0.filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "a.b"}}]},
        {"spec.route.rules.0.filters": [
            {"type": "URLRewrite", "urlRewrite": {"hostname": "*.a.b"}},
        ]},
        "spec.route.rules[0].filters[0].urlRewrite.hostname", "",
    ),
    Case("a route has a gateway", {}, {"spec.route.parentRefs": []}, "spec.route.parentRefs", ""),
)  # fmt: skip
"""Bounds, patterns and kinds of single fields."""

CASES = RULES + NAMES + FIELDS


def full_status() -> dict[str, Any]:
    """A status with every part that the operator can report."""
    when = "2026-01-01T09:00:00Z"
    counts = {"accuracy": {"bad": 83, "total": 1000}}
    rows = {"bothRight": 880, "onlyStableWrong": 37, "onlyCandidateWrong": 31, "bothWrong": 52}
    pairs = {"accuracy": rows}
    baseline = {
        "accuracy": {
            "bad": 80, "total": 1000, "from": when, "to": when, "source": "Evaluation", "phi": "1.2",
            "daily": True, "weekdays": [{"bad": 0, "total": 1}] * 7, "indicatorHash": "ab",
        },
        "revenue": {
            "bad": 0, "total": 0, "from": when, "to": when, "source": "Production", "phi": "1",
            "daily": False, "mean": "0.41", "deviation": "0.02",
        },
    }  # fmt: skip
    version = {
        "version": "v1", "image": f"registry.example/a@sha256:{HEX}", "service": "A",
        "runtimeImage": "registry.example/rt:1", "revision": "0123456789", "source": "Spec",
    }  # fmt: skip
    streak = {"first": 1, "last": 3, "evaluations": 3, "fresh": 2}
    trigger = {
        "id": "0a1b2c3d", "cause": "ModelDecay", "slo": "accuracy", "indicator": "outcomes",
        "version": "v1", "firstBadBlock": when, "changeTime": when, "message": "0.86 of 900", "at": when,
    }  # fmt: skip
    return {
        "observedGeneration": 3,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Serving", "message": "v1 serves",
            "observedGeneration": 3, "lastTransitionTime": when,
        }],
        "state": "Degraded",
        "summary": {"slo": "accuracy BAD", "model": "v1", "canary": "v2@25", "markets": "FR,BE", "reason": "ModelRejected",
        },
        "specModel": {
            "image": version["image"], "version": "v1", "runtimeImage": "registry.example/rt:1",
            "outcome": "Rejected", "reason": "CanaryWorse", "at": when,
        },
        "stable": version | {
            "promotedAt": when, "returned": True, "baseline": baseline, "evaluation": counts,
        },
        "candidate": version | {
            "version": "v2", "source": "Retraining", "phase": "Stepping", "step": 2, "weight": 25,
            "shares": [{"weight": 5, "since": when}, {"weight": 25, "since": when}],
            "since": when, "trafficSince": when, "retryAt": when, "retries": 1,
            "stepSince": when, "target": 25, "capacity": 4, "frozenSince": when, "frozenSeconds": 60, "expectedSeconds": 1200,
            "evaluation": counts, "pairs": pairs, "trigger": "0a1b2c3d",
            "returning": True, "requested": True,
            "rollbackReason": "CanaryWorse",
            "rollbackMessage": "…", "api": "Kept",
            "evidence": [{
                "slo": "accuracy", "required": True, "promote": "1.2", "promoteAt": "3.0",
                "rollBack": "-0.4", "rollBackAt": "4.1", "candidateBad": 3, "candidateTotal": 40,
                "stableBad": 90, "stableTotal": 900, "phi": "1",
            }],
        },
        "history": [version | {
            "version": "v0", "fate": "Replaced", "reason": "Promoted", "promotedAt": when,
            "returned": False, "until": when, "baseline": baseline, "record": counts,
            "degraded": ["accuracy"],
        }],
        "probation": {"version": "v1", "against": "v0", "since": when, "shownBetter": ["accuracy"]},
        "retraining": {
            "trigger": trigger, "pending": trigger, "waitingFor": "NoSlot", "attempt": 2, "started": 2,
            "job": "a-train-0a1b2c3d-2", "startedAt": when, "attempts": 1, "nextAllowedAt": when,
            "suspended": False, "lastTrainingTime": when, "lastDurationSeconds": 300, "lastReason": "WorseOnHoldOut",
            "lastResult": {
                "outcome": "Refused", "reason": "WorseOnHoldOut", "message": "…", "version": "v2",
                "image": version["image"], "evaluation": counts, "stableEvaluation": counts,
                "pairs": pairs,
                "at": when,
            },
        },
        "slos": [{
            "name": "accuracy", "state": "BAD", "reason": "BaselineDropped", "message": "…",
            "ratio": "0.86", "bad": 126, "samples": 900, "objective": "0.9",
            "budgetRemaining": "-0.4", "baselineRatio": "0.92", "drop": "0.06",
            "interval": ["0.04", "0.08"], "statistic": "13.1", "statisticBound": "12.5",
            "visibleDrop": "0.02", "visibleAfterSeconds": 7200, "degraded": True,
            "markets": [{"market": "AT", "state": "BAD", "ratio": "0.81", "samples": 211}],
        }],
        "decision": {"type": "Retrain", "reason": "ModelDecay", "message": "…", "at": when},
        "diagnosis": {
            "cause": "ModelDecay", "message": "…", "at": when,
            "evidence": [{"check": "UpstreamDegraded", "verdict": "Clear", "message": "…"}],
        },
        "dependencies": [
            {"namespace": "pricing", "name": "pricing", "state": "Healthy", "inCycle": False},
        ],
        "writtenBy": {
            "namespace": "platform", "lease": "sluicegate", "scope": "Cluster", "version": "1.2.3",
        },
        "traffic": {
            "mode": "Gateway", "weight": 25, "level": "Observed", "since": when, "acceptedAt": when,
            "observedShare": "0.24", "requests": 900, "realShare": "0.25",
        },
        "lastHandled": {
            "retrainRequestedAt": "a", "rollbackTo": "v0/b", "promote": "c", "abort": "d",
        },
        "problems": ["spec.owner: is required: set it"],
        "numbersAt": when,
        "engine": {
            "lastKnownState": "Degraded", "outageSince": when, "alerted": ["accuracy"],
            "slos": {"accuracy": {
                "streak": streak, "calm": streak, "degraded": True, "steadySince": when,
                "evidenceSince": when, "disturbedSince": when, "termsHash": "ef",
                "leftOut": [{"since": when, "until": when}],
            }},
            "originalBaseline": {"version": "v0", "slos": baseline},
            "probationBaselines": baseline, "heldAgainst": baseline,
            "correlation": {"accuracy": "0.01"},
        },
    }  # fmt: skip

"""Rules of a DataProduct, each with valid and invalid objects and the message of the refusal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.samples.product_examples import BENTO_URL, HEX, REMOVED, Change


@dataclass(frozen=True)
class Case:
    """One rule with valid and invalid objects and the message of the refusal.

    `at` is the path in the error, `says` a part of its message.
    """

    name: str
    accepted: Change
    refused: Change
    at: str
    says: str
    other: tuple[Change, ...] = field(default=())
    """More that is refused for the same reason."""


NO_BUCKETS = {"spec.serving.latencyBucketsMilliseconds": REMOVED}
TEMPLATE = {"spec": {"containers": [{"name": "train", "command": ["train"]}]}}


def mounted(path: str) -> Change:
    """Return the example with a volume in its servers at this path."""
    return {
        "spec.serving.volumes": [{"name": "weights", "emptyDir": {}}],
        "spec.serving.volumeMounts": [{"name": "weights", "mountPath": path}],
    }


def scaled_by(metric: dict[str, Any]) -> Change:
    """Return the example with an autoscaler by CPU and by this metric."""
    return {
        "spec.serving.replicas": REMOVED,
        "spec.serving.autoscaling": {"maxReplicas": 4, "metrics": [metric]},
    }


def template(metadata: Any = None, **spec: Any) -> Change:
    """Return the example with a pod template for its trainings."""
    body = {"spec": TEMPLATE["spec"] | spec} | ({"metadata": metadata} if metadata else {})
    return {"spec.retraining.command": REMOVED, "spec.retraining.podTemplate": body}


def promql(good: str) -> dict[str, Any]:
    """Return an indicator by two expressions."""
    return {"promql": {"good": good, "total": "sum(increase(b[$block]))"}}


def counted(number: int) -> dict[str, Any]:
    """Return an SLO that a query of its own measures."""
    indicator = promql("sum(increase(a[$block]))")
    return {"name": f"own-{number}", "indicator": indicator, "objective": "0.9"}


EXTENSION = {
    "type": "ExtensionRef",
    "extensionRef": {"group": "traefik.io", "kind": "Middleware", "name": "a"},
}
HEADERS = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["a"]}}
NEW_PREFIX = {
    "type": "URLRewrite",
    "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
}
MIRROR = {"mirror": {"percent": 10}, "intervalSeconds": 3600}
LOG = {"sample": 10, "to": {"file": {"claimName": "predictions"}}}
SHADOW = {"command": ["python", "-m", "shadow"], "intervalSeconds": 86_400}
GOAL = {"name": "conversion", "target": "0.032"}
WEB = {"name": "web", "namespace": "gateway"}
PREVIEW = {"parentRefs": [WEB | {"sectionName": "internal"}]}
CONSUMERS = {
    "names": ["ranking", "finance/financing"],
    "parentRefs": [WEB | {"sectionName": "internal"}],
}
ROUTED = {"parentRefs": [WEB]}


def header(name: str) -> dict[str, Any]:
    """Return a rule of a route that matches a header."""
    return {"matches": [{"headers": [{"name": name, "value": "a"}]}]}


def removal(*names: str) -> dict[str, Any]:
    """Return a rule of a route that removes headers of requests."""
    return {"filters": [HEADERS | {"requestHeaderModifier": {"remove": list(names)}}]}


def changed_header(kind: str, name: str) -> dict[str, Any]:
    """Return a rule of a route that sets or adds a header of requests."""
    modifier = {kind: [{"name": name, "value": "a"}]}
    return {"filters": [HEADERS | {"requestHeaderModifier": modifier}]}


INPUT = {"name": "prices", "promql": "time() - max(newest_row_seconds)"}
RULES = (
    Case(
        "an input says what its expression is",
        {"spec.inputs": [INPUT | {"freshnessSeconds": 3600}, {"name": "offers", "contract": "c", "promql": "max(x)"}]},
        {"spec.inputs": [INPUT]},
        "spec.inputs[0].freshnessSeconds",
        "set freshnessSeconds where promql is the age",
    ),
    Case(
        "a goal is measured by an SLO of the product",
        {"spec.businessGoals": [GOAL | {"slo": "accuracy"}]},
        {"spec.businessGoals": [GOAL | {"slo": "other"}]},
        "spec.businessGoals",
        "must be the name of one of spec.slos",
    ),
    Case(
        "a goal that a share measures is a share",
        {"spec.businessGoals": [GOAL | {"target": "95", "unit": "%", "slo": "accuracy"}]},
        {"spec.businessGoals": [GOAL | {"target": "95", "slo": "accuracy"}]},
        "spec.businessGoals",
        'write 95 % as "0.95" with unit ratio, or as "95" with unit "%"',
        (
            {"spec.businessGoals": [GOAL | {"target": "250", "unit": "ms", "slo": "accuracy"}]},
            {"spec.businessGoals": [GOAL | {"target": "101", "unit": "%", "slo": "accuracy"}]},
            {"spec.businessGoals": [GOAL | {"target": "-0.1", "slo": "accuracy"}]},
        ),
    ),
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
        "an expression counts the events of a block",
        {"spec.slos.0.indicator": promql("sum(increase(a[$block]))")},
        {"spec.slos.0.indicator": promql("sum(increase(a[5m]))")},
        "spec.slos[0].indicator.promql",
        "must count the events of a block",
    ),
    Case(
        "few service levels have a query of their own",
        {f"spec.slos.{number}": counted(number) for number in range(2)},
        {f"spec.slos.{number}": counted(number) for number in range(3)},
        "spec.slos",
        "at most 2 SLOs may be measured by promql",
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
        "a metric of an autoscaler is of pods or of no object",
        scaled_by({"pods": {"name": "in_progress", "averageValue": "4"}}),
        scaled_by({}),
        "spec.serving.autoscaling.metrics[0].pods",
        "exactly one of pods and external",
        (
            scaled_by({
                "pods": {"name": "in_progress", "averageValue": "4"},
                "external": {"name": "latency", "value": "0.2"},
            }),
        ),
    ),
    Case(
        "an external metric of an autoscaler has one target",
        scaled_by({"external": {"name": "latency", "value": "0.2"}}),
        scaled_by({"external": {"name": "latency"}}),
        "spec.serving.autoscaling.metrics[0].external.value",
        "exactly one of value",
        (scaled_by({"external": {"name": "latency", "value": "1", "averageValue": "1"}}),),
    ),
    Case(
        "nobody depends on oneself",
        {"spec.dependsOn": [{"name": "search-ranking", "namespace": "elsewhere"}]},
        {"spec.dependsOn": [{"name": "search-ranking"}]},
        "spec.dependsOn",
        "names the product itself",
    ),
    Case(
        "no product is a consumer of its own",
        {
            "spec.rollout.consumers": {
                "names": ["trade-in"], "parentRefs": [{"name": "web", "namespace": "gateway"}],
            },
            "spec.route.parentRefs": [{"name": "web", "namespace": "gateway"}],
        },
        {
            "spec.rollout.consumers": {
                "names": ["trade-in", "search-ranking"],
                "parentRefs": [{"name": "web", "namespace": "gateway"}],
            },
            "spec.route.parentRefs": [{"name": "web", "namespace": "gateway"}],
        },
        "spec.rollout",
        "names the product itself",
    ),
    Case(
        "no product agrees to its own candidate as a consumer",
        {"spec.rollout.approvals": {"consumers": ["trade-in"]}},
        {"spec.rollout.approvals": {"consumers": ["trade-in", "search-ranking"]}},
        "spec.rollout",
        "approvals.consumers names the product itself",
    ),
    Case(
        "a consumer that is heard counts outcomes or events",
        {"spec.dependsOn": [{"name": "pricing", "evidence": "IfAvailable"}]},
        {
            "spec.dependsOn": [{"name": "pricing", "evidence": "Required"}],
            "spec.slos": [{"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.9"}],
            "spec.serving.feedback": REMOVED, "spec.model.evaluation": REMOVED,
            "spec.businessGoals": REMOVED,
        },
        "spec.dependsOn",
        "add one with the indicator events, or outcomes with serving.feedback",
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
        "must be the key of a label",
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
        "the container that trains is no sidecar",
        template(containers=[{"name": "a"}], initContainers=[{"name": "b", "restartPolicy": "Always"}]),
        template(containers=[{"name": "a", "restartPolicy": "Always"}]),
        "spec.retraining.podTemplate.spec.containers",
        "only initContainers have a restartPolicy",
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
        "a server leaves the operator's volumes alone",
        {"spec.serving.volumes": [{"name": "weights", "emptyDir": {}}]},
        {"spec.serving.volumes": [{"name": "feedback", "emptyDir": {}}]},
        "spec.serving.volumes",
        "rename it",
        ({"spec.serving.volumes": [{"name": "sluicegate-log", "emptyDir": {}}]},),
    ),
    Case(
        "an init container of a server has a name of its own",
        {"spec.serving.initContainers": [{"name": "wait", "image": "registry.example/wait:1"}]},
        {"spec.serving.initContainers": [{"image": "registry.example/wait:1"}]},
        "spec.serving.initContainers",
        "needs a name other than",
        ({"spec.serving.initContainers": [{"name": "server", "image": "registry.example/a:1"}]},),
    ),
    Case(
        "init containers of a server have images and names of their own",
        {"spec.serving.initContainers": [
            {"name": "a", "image": "registry.example/a:1"}, {"name": "b", "image": "registry.example/a:1"},
        ]},
        {"spec.serving.initContainers": [{"name": "a"}]},
        "spec.serving.initContainers",
        "an image and a name of its own",
        (
            {"spec.serving.initContainers": [{"name": "a", "image": "registry.example/a:1"}] * 2},
        ),
    ),
    Case(
        "an init container of a server does not mount the operator's volumes",
        mounted("/weights") | {"spec.serving.initContainers": [
            {"name": "fill", "image": "registry.example/a:1",
             "volumeMounts": [{"name": "weights", "mountPath": "/weights"}]},
        ]},
        {"spec.serving.initContainers": [
            {"name": "fill", "image": "registry.example/a:1",
             "volumeMounts": [{"name": "bento", "mountPath": "/b"}]},
        ]},
        "spec.serving.initContainers",
        "not theirs to change",
    ),
    Case(
        "a server's mounts have plain absolute paths",
        mounted("/models/..weights"),
        mounted("/models/../bento"),
        "spec.serving.volumeMounts",
        "absolute and has no empty part",
        tuple(mounted(path) for path in ("tmp", "/", "//tmp", "/./bento", "/a/", "/a:b")),
    ),
    Case(
        "a mount names a volume of the product",
        mounted("/weights"),
        mounted("/weights") | {"spec.serving.volumes": [{"name": "other", "emptyDir": {}}]},
        "spec.serving.volumeMounts",
        "not in volumes: add it there",
        ({"spec.serving.volumeMounts": [{"name": "weights", "mountPath": "/weights"}]},),
    ),
    Case(
        "a server leaves the operator's paths alone",
        mounted("/bentos"),
        mounted("/bento"),
        "spec.serving.volumeMounts",
        "mount the volume elsewhere",
        (mounted("/tmp/cache"), mounted("/var/run/sluicegate/feedback")),
    ),
    Case(
        "a claim of devices has one source",
        {"spec.serving.resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]},
        {"spec.serving.resourceClaims": [{"name": "gpu"}]},
        "spec.serving.resourceClaims[0].resourceClaimName",
        "exactly one of resourceClaimName",
        (
            {"spec.serving.resourceClaims": [
                {"name": "gpu", "resourceClaimName": "a", "resourceClaimTemplateName": "b"}
            ]},
        ),
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
        "approvals name a party",
        {"spec.rollout.approvals": {"consumers": ["Any"]}},
        {"spec.rollout.approvals": {}},
        "spec.rollout.approvals.roles",
        "approvals names no party",
        ({"spec.rollout.approvals": {"roles": [], "consumers": []}},),
    ),
    Case(
        "any and all consumers stand alone",
        {"spec.rollout.approvals": {"consumers": ["pricing", "finance/financing"]}},
        {"spec.rollout.approvals": {"consumers": ["All", "pricing"]}},
        "spec.rollout.approvals.consumers",
        "list it alone",
        ({"spec.rollout.approvals": {"consumers": ["Any", "All"]}},),
    ),
    Case(
        "a role that has to agree is in the team",
        {"spec.rollout.approvals": {"roles": ["DataProductManager"]}},
        {"spec.rollout.approvals": {"roles": ["RiskOfficer"]}},
        "spec.rollout",
        "no member of team.members has",
        ({"spec.rollout.approvals": {"roles": ["DataProductManager"]}, "spec.team": REMOVED,
          "spec.lifecycle": "Development"},),
    ),
    Case(
        "consumers call by a listener of the route",
        {"spec.rollout.consumers": CONSUMERS, "spec.route": ROUTED},
        {
            "spec.rollout.consumers": CONSUMERS,
            "spec.route": ROUTED | {"parentRefs": [WEB | {"sectionName": "public"}]},
        },
        "spec.rollout",
        "must be listeners of the route",
        (
            {"spec.rollout.consumers": CONSUMERS, "spec.route": REMOVED},
            {
                "spec.rollout.consumers": CONSUMERS,
                "spec.route": ROUTED | {"parentRefs": [WEB | {"port": 8443}]},
            },
            {
                "spec.rollout.consumers": CONSUMERS | {"parentRefs": [{"name": "web"}]},
                "spec.route": ROUTED,
            },
        ),
    ),
    Case(
        "no rule of the user matches a draw",
        {
            "spec.rollout.consumers": CONSUMERS,
            "spec.route": ROUTED | {"rules": [header("country")]},
        },
        {
            "spec.rollout.consumers": CONSUMERS,
            "spec.route": ROUTED | {"rules": [header("Sluicegate-Draw-1")]},
        },
        "spec.route",
        "match another header",
    ),
    Case(
        "versions that exchange their pods have more than one",
        {"spec.rollout.capacity": "Replace", "spec.serving.replicas": 2},
        {"spec.rollout.capacity": "Replace", "spec.serving.replicas": 1},
        "spec.rollout",
        "set serving.replicas or serving.autoscaling.maxReplicas to 2 or more",
        (
            {"spec.rollout.capacity": "Replace", "spec.serving.replicas": REMOVED},
            {
                "spec.rollout.capacity": "Replace",
                "spec.serving.replicas": REMOVED,
                "spec.serving.autoscaling": {"maxReplicas": 1},
            },
        ),
    ),
    Case(
        "previews come by a listener of the route",
        {"spec.rollout.preview": PREVIEW, "spec.route": ROUTED},
        {
            "spec.rollout.preview": PREVIEW,
            "spec.route": ROUTED | {"parentRefs": [WEB | {"sectionName": "public"}]},
        },
        "spec.rollout",
        "rollout.preview.parentRefs must be listeners of the route",
        ({"spec.rollout.preview": PREVIEW, "spec.route": REMOVED},),
    ),
    Case(
        "no rule of the user matches the header of previews",
        {"spec.rollout.preview": PREVIEW, "spec.route": ROUTED | {"rules": [header("country")]}},
        {
            "spec.rollout.preview": PREVIEW,
            "spec.route": ROUTED | {"rules": [header("Sluicegate-Preview")]},
        },
        "spec.route",
        "match another header",
    ),
    Case(
        "no filter of the user names the header of previews",
        {"spec.rollout.preview": PREVIEW, "spec.route": ROUTED | {"rules": [removal("x-a")]}},
        {
            "spec.rollout.preview": PREVIEW,
            "spec.route": ROUTED | {"rules": [removal("Sluicegate-Preview")]},
        },
        "spec.route",
        "leave it out",
    ),
    Case(
        "filters of the user leave room to remove the header of previews",
        {
            "spec.rollout.preview": PREVIEW,
            "spec.route": ROUTED | {"rules": [removal(*(f"x-{n}" for n in range(15)))]},
        },
        {
            "spec.rollout.preview": PREVIEW,
            "spec.route": ROUTED | {"rules": [removal(*(f"x-{n}" for n in range(16)))]},
        },
        "spec.route",
        "remove at most 15",
        (
            {
                "spec.rollout.preview": PREVIEW,
                "spec.route": ROUTED
                | {"rules": [changed_header("set", "Sluicegate-Preview")]},
            },
            {
                "spec.rollout.preview": PREVIEW,
                "spec.route": ROUTED
                | {"rules": [changed_header("add", "sluicegate-preview")]},
            },
        ),
    ),
    Case(
        "references of previews name a listener once",
        {"spec.rollout.preview": PREVIEW, "spec.route": ROUTED},
        {"spec.rollout.preview": {"parentRefs": [WEB, WEB]}, "spec.route": ROUTED},
        "spec.rollout.preview.parentRefs",
        "must each name another sectionName",
    ),
    Case(
        "references of consumers name a listener once",
        {
            "spec.rollout.consumers": CONSUMERS,
            "spec.route": ROUTED,
        },
        {
            "spec.rollout.consumers": CONSUMERS | {"parentRefs": [WEB, WEB]},
            "spec.route": ROUTED,
        },
        "spec.rollout.consumers.parentRefs",
        "must each name another sectionName",
    ),
    Case(
        "a shadow phase has answers to score",
        {"spec.rollout.shadow": SHADOW},
        {
            "spec.rollout.shadow": SHADOW,
            "spec.model.evaluation": REMOVED,
            "spec.retraining.gate": REMOVED,
            "spec.slos": [
                {"name": "up", "indicator": {"availability": {}}, "objective": "0.9"},
                {"name": "basket", "indicator": {"gauge": {"metric": "a"}}, "maxDrop": "1"},
            ],
        },
        "spec.rollout",
        "add an SLO about them to slos",
        (
            {
                "spec.rollout.shadow": SHADOW,
                "spec.model.evaluation": REMOVED,
                "spec.retraining.gate": REMOVED,
                "spec.slos": REMOVED,
            },
        ),
    ),
    Case(
        "a shadow phase has a command or a mirror",
        {"spec.rollout.shadow": MIRROR},
        {"spec.rollout.shadow": SHADOW | MIRROR},
        "spec.rollout.shadow.command",
        "exactly one of command",
        ({"spec.rollout.shadow": {"intervalSeconds": 3600}},),
    ),
    Case(
        "a mirror compares outcomes of signed predictions",
        {"spec.rollout.shadow": MIRROR},
        {"spec.rollout.shadow": MIRROR, "spec.serving.feedback": REMOVED},
        "spec.rollout",
        "rollout.shadow.mirror compares the outcomes",
    ),
    Case(
        "a caller's id is in a header or in a field",
        {"spec.serving.feedback.prediction": {"id": {"header": "x-order-id"}}},
        {"spec.serving.feedback.prediction": {"id": {"header": "x-id", "field": "order.id"}}},
        "spec.serving.feedback.prediction.id.header",
        "exactly one of header",
        ({"spec.serving.feedback.prediction": {"id": {}}},),
    ),
    Case(
        "a log has one place",
        {"spec.serving.log": {"sample": 10, "to": {"file": {"claimName": "predictions"}}}},
        {"spec.serving.log": {"sample": 10, "to": {}}},
        "spec.serving.log.to.file",
        "exactly one of file",
        (
            {
                "spec.serving.log": {
                    "sample": 10,
                    "to": {"file": {"claimName": "a"}, "s3": {"bucket": "logs"}},
                }
            },
        ),
    ),
    Case(
        "what a log redacts is spelled as paths of names and positions",
        {"spec.serving.log": LOG | {"features": {"redact": ["items.email", "items.0.email", "$ref"]}}},
        {"spec.serving.log": LOG | {"features": {"redact": ["items.*.email"]}}},
        "spec.serving.log.features.redact",
        "write items.email for the email of all items",
        tuple(
            {"spec.serving.log": LOG | {"features": {"redact": ["a", path]}}}
            for path in ("items[0].email", "$.email", "$", "/items/email", "**")
        ),
    ),
    Case(
        "what a log has is spelled as paths of names and positions",
        {"spec.serving.log": LOG | {"features": {"only": ["a.b"], "person": "a/b"}}},
        {"spec.serving.log": LOG | {"features": {"only": ["a.*"]}}},
        "spec.serving.log.features.only",
        "write items.email",
    ),
    Case(
        "the key of a person is spelled as a path of names and positions",
        {"spec.serving.log": LOG | {"features": {"person": "owner.key"}}},
        {"spec.serving.log": LOG | {"features": {"person": "$.owner.key"}}},
        "spec.serving.log.features.person",
        "write items.email",
    ),
    Case(
        "a prediction is at a path of names and positions",
        {"spec.serving.feedback.prediction": {"field": "rows.0.label"}},
        {"spec.serving.feedback.prediction": {"field": "rows[0].label"}},
        "spec.serving.feedback.prediction.field",
        "write items.email",
    ),
    Case(
        "a caller's id is at a path of names and positions",
        {"spec.serving.feedback.prediction": {"id": {"field": "order.id"}}},
        {"spec.serving.feedback.prediction": {"id": {"field": "$.order.id"}}},
        "spec.serving.feedback.prediction.id.field",
        "write items.email",
    ),
    Case(
        "actions in markets are for SLOs that are counted by market",
        {"spec.slos.0.markets": {"onMissed": "Ignore", "onCandidateWorse": "Hold"}},
        {"spec.slos.5.markets": {}},
        "spec.slos[5].markets",
        "counted by market",
    ),
    Case(
        "actions in markets need events that are counted by market",
        {"spec.slos.0.markets": {"onMissed": "Alert"}},
        {"spec.slos.0.markets": {"onMissed": "Alert"}, "spec.serving.market": REMOVED},
        "spec.slos",
        "set serving.market",
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

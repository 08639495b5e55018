"""Invalid edits of a DataProduct, each with the nearest valid one.

The same table is put to the types and to a real API server: both accept the one and refuse the
other, and both say where and what to do.
"""

from __future__ import annotations

from tests.support.samples.product_examples import BENTO_URL, HEX, REMOVED
from tests.support.samples.product_rules import RULES, Case

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
    Case(
        "a shadow phase has a command",
        {"spec.rollout.shadow": {"command": ["a"], "intervalSeconds": 10, "env": [], "timeoutSeconds": 10}},
        {"spec.rollout.shadow": {"command": [], "intervalSeconds": 10}},
        "spec.rollout.shadow.command", "",
    ),
    Case(
        "a mirror has a share",
        {"spec.rollout.shadow": {"mirror": {"percent": 100}, "intervalSeconds": 10}},
        {"spec.rollout.shadow": {"mirror": {"percent": 0}, "intervalSeconds": 10}},
        "spec.rollout.shadow.mirror.percent", "",
        ({"spec.rollout.shadow": {"mirror": {"percent": 101}, "intervalSeconds": 10}},),
    ),
    Case(
        "a shadow phase has an interval",
        {"spec.rollout.shadow": {"command": ["a"], "intervalSeconds": 604_800}},
        {"spec.rollout.shadow": {"command": ["a"], "intervalSeconds": 9}},
        "spec.rollout.shadow.intervalSeconds", "",
        ({"spec.rollout.shadow": {"command": ["a"]}},),
    ),
    Case("a number is a number", {}, {"spec.serving.replicas": "2"}, "spec.serving.replicas", ""),
    Case("a string is a string", {}, {"spec.slos.0.objective": 0.999}, "spec.slos[0].objective", ""),
    Case(
        "an objective is a share", {"spec.slos.0.objective": "0.999"},
        {"spec.slos.0.objective": "99.9"}, "spec.slos[0].objective", 'write 99.9 % as "0.999"',
        ({"spec.slos.0.objective": "99.9%"},),
    ),
    Case(
        "a path begins with a slash", {"spec.route.rules": REMOVED, "spec.route.path": "/search"},
        {"spec.route.path": "search"},
        "spec.route.path", "begins with /",
    ),
    Case(
        "a host is no address", {}, {"spec.route.hostnames": ["https://search.example"]},
        "spec.route.hostnames[0]", "without scheme, port and path",
    ),
    Case(
        "an owner is one word", {}, {"spec.owner": "team a"}, "spec.owner",
        "write e.g. group:default/catalog",
    ),
    Case("markets are countries", {}, {"spec.markets": ["fr"]}, "spec.markets[0]", ""),
    Case("a market comes once", {}, {"spec.markets": ["FR", "FR"]}, "spec.markets", ""),
    Case(
        "an SLO's name comes once", {}, {"spec.slos.1.name": "availability"}, "spec.slos", "",
    ),
    Case("a dependency comes once", {
        "spec.dependsOn": [{"name": "a"}, {"name": "a", "namespace": "b"}],
    }, {"spec.dependsOn": [{"name": "a"}, {"name": "a"}]}, "spec.dependsOn", ""),
    Case("steps have bounds", {}, {"spec.rollout.steps": [5, 100]}, "spec.rollout.steps[1]", "leave 100 out"),
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

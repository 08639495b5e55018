"""DataProducts as they may have been stored before their definition had any rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.support.failures.replicas import ROOT, product

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]

MISTAKES: dict[str, Callable[[Object], Any]] = {
    "steps-fall": lambda spec: spec | {"rollout": {"steps": [25, 5]}},
    "owner-is-a-number": lambda spec: spec | {"owner": 5},
    "no-owner": lambda spec: {key: spec[key] for key in spec if key != "owner"},
    "no-model": lambda spec: {"owner": spec["owner"]},
    "model-is-a-list": lambda spec: spec | {"model": [spec["model"]]},
    "image-by-tag": lambda spec: spec | {"model": {"bento": {"image": "r.example/m:1"}}},
    "slos-are-text": lambda spec: spec | {"slos": "99.9 %"},
    "blocks-of-no-length": lambda spec: spec | {"analysis": {"blockSeconds": -1}},
    "a-float-of-pods": lambda spec: spec | {"serving": {"replicas": 1.5}},
    "route-is-text": lambda spec: spec | {"route": "web"},
    "a-nameless-parent": lambda spec: spec | {"route": {"parentRefs": [{"namespace": "gw"}]}},
    "retraining-is-a-list": lambda spec: spec | {"retraining": ["now"]},
    "empty": lambda _: {},
}


def lax_definition() -> Object:
    """Return the CustomResourceDefinition without validation."""
    (path,) = (ROOT / "crds").glob("dataproducts*.yaml")
    body: Object = yaml.safe_load(path.read_text())
    for version in body["spec"]["versions"]:
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version["schema"]["openAPIV3Schema"] = anything
        version.pop("additionalPrinterColumns", None)
        version.pop("selectableFields", None)
    return body


def malformed(namespace: str, count: int) -> list[Object]:
    """Return this many products, each with one of the mistakes, in turn."""
    products = []
    for number in range(count):
        mistake = list(MISTAKES)[number % len(MISTAKES)]
        body = product(namespace, f"m{number}-{mistake}"[:40])
        body["spec"] = MISTAKES[mistake](body["spec"])
        products.append(body)
    return products

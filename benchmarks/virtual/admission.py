"""Admission of objects by the in-memory API server: defaults, pruning, refusals."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from benchmarks.virtual import fields, structural
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.kube import resources
from sluicegate.kube.resources import DATA_PRODUCTS, Key, Resource

Body = dict[str, Any]


class Refused(Exception):  # noqa: N818 - the answer's name
    """An answer that isn't 2xx."""

    def __init__(self, status: int, reason: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.headers = status, reason, headers

    def body(self) -> Body:
        """Return the Status object."""
        return {
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "reason": self.reason, "message": str(self), "code": self.status,
        }  # fmt: skip

    def text(self) -> bytes:
        """Return the body of the answer."""
        return json.dumps(self.body()).encode()


class Crowded(Refused):
    """429 of priority and fairness, without a seat for the request; its body is no Status object."""

    def __init__(self, retry_after: int = 1) -> None:
        sent = {"Retry-After": str(retry_after), "Content-Type": "text/plain; charset=utf-8"}
        super().__init__(429, "", "Too many requests, please try again later.\n", **sent)

    def text(self) -> bytes:
        """Return the body of the answer."""
        return str(self).encode()


def conflict(key: Key, reason: str = "the object has been modified") -> Refused:
    """Return a 409."""
    return Refused(409, "Conflict", f'Operation cannot be fulfilled on "{key.name}": {reason}')


def merges_of(resource: Resource) -> Any:
    """Return how the fields of a kind merge."""
    if resource is DATA_PRODUCTS:
        return _merges_of_products
    return fields.merges_of_builtin


def _merges_of_products(path: fields.Path) -> Any:
    if path == ("metadata", "ownerReferences"):
        return ("uid",)
    return structural.list_kinds().get(path, "")


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def admitted(resource: Resource, body: Body, before: Body | None = None) -> Body:
    """Return the object as it is stored: pruned and defaulted; unchanged parts aren't checked."""
    if resource is not DATA_PRODUCTS:
        return _with_protocols(body)
    schema = structural.product_schema()
    kept = {name: part for name, part in (before or {}).items() if part is body.get(name)}
    rest = {name: body[name] for name in ("spec", "status") if name in body and name not in kept}
    if "status" not in body:
        rest["status"] = _plain(schema["properties"]["status"]["default"])
    completed = structural.defaulted(structural.pruned(rest, schema), {"properties": {
        name: one for name, one in schema["properties"].items() if name in rest
    }})  # fmt: skip
    return {
        **{name: body[name] for name in ("apiVersion", "kind", "metadata") if name in body},
        **{name: kept[name] for name in ("spec", "status") if name in kept},
        **completed,
    }


def _with_protocols(body: Body) -> Body:
    """Return ports with their default protocol, which is part of their key."""
    spec = body.get("spec")
    if isinstance(spec, dict) and isinstance(spec.get("ports"), list):
        ports = [{"protocol": "TCP", **one} for one in spec["ports"]]
        return {**body, "spec": {**spec, "ports": ports}}
    return body


def check_product(key: Key, body: Body, before: Body) -> None:
    schema = structural.product_schema()
    if before and body["spec"] is before["spec"]:
        schema = {**schema, "properties": {"status": schema["properties"]["status"]}}
    problems = list(structural.objections(body, schema))
    if not problems and body.get("spec") != before.get("spec"):
        bare = {name: part for name, part in body.items() if name != "status"}
        try:
            DataProduct.parse(bare)
        except InvalidProduct as error:
            problems = [str(problem) for problem in error.problems]
    if problems:
        text = f'DataProduct.sluicegate.dev "{key.name}" is invalid: {"; ".join(problems[:8])}'
        raise Refused(422, "Invalid", text)


_IMMUTABLE: Final = {
    resources.DEPLOYMENTS: ("selector",),
    resources.JOBS: ("template", "selector", "completions"),
    resources.SERVICES: ("clusterIP",),
}


_CONFIG_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")


def check_builtin(resource: Resource, key: Key, body: Body, before: Body) -> None:
    for name in _IMMUTABLE.get(resource, ()):
        was, now = ((one.get("spec") or {}).get(name) for one in (before, body))
        if before and was != now:
            text = f'{resource.kind} "{key.name}" is invalid: spec.{name}: field is immutable'
            raise Refused(422, "Invalid", text)
    if resource is resources.CONFIG_MAPS:
        for name in body.get("data") or {}:
            if _CONFIG_KEY.fullmatch(name) is None:
                text = f'ConfigMap "{key.name}" is invalid: data[{name}]: a valid config key must consist of alphanumeric characters, "-", "_" or "."'
                raise Refused(422, "Invalid", text)


def merge_patch(live: Any, change: Any) -> Any:
    """Apply a merge patch by RFC 7386."""
    if not isinstance(change, dict):
        return change
    result = dict(live) if isinstance(live, dict) else {}
    for name, part in change.items():
        if part is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), part)
    return result

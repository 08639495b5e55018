"""The CustomResourceDefinition, as it follows from the types."""

import json
from typing import Any, Final

import yaml

from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.api.schema import Schema, structural_schema

FILE_NAME: Final = f"{names.PLURAL}.{names.GROUP}.yaml"
_READY: Final = '.status.conditions[?(@.type=="Ready")].status'
_COLUMNS: Final = (
    # name, path, shown only with -o wide
    ("Ready", _READY, False),
    ("Reason", ".status.summary.reason", False),
    ("State", ".status.state", False),
    ("SLO", ".status.summary.slo", False),
    ("Model", ".status.summary.model", False),
    ("Canary", ".status.summary.canary", False),
    ("Priority", ".spec.priority", False),
    ("Age", ".metadata.creationTimestamp", False),
    ("Owner", ".spec.owner", True),
    ("Markets", ".status.summary.markets", True),
    ("Lifecycle", ".spec.lifecycle", True),
)


def build_crd() -> dict[str, Any]:
    """The CustomResourceDefinition as plain data."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "versions": [_version()],
        },
    }


def render_crd() -> str:
    """The CustomResourceDefinition as YAML, the same for the same types."""
    header = (
        "# Generated from operator/sluicegate/api by `sluicegate crds`; edit the types instead.\n"
    )
    unshared = json.loads(json.dumps(build_crd()))  # shared parts would come out as YAML aliases
    return header + yaml.safe_dump(unshared, sort_keys=False, width=100, allow_unicode=True)


def _version() -> dict[str, Any]:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(structural_schema(DataProduct))},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
    }


def _root(schema: Schema) -> Schema:
    """The API server has its own idea of apiVersion, kind and metadata."""
    properties = schema["properties"]
    own = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    status = _without_defaults(properties["status"]) | {"default": properties["status"]["default"]}
    return schema | {
        "properties": own | {"spec": properties["spec"], "status": status},
        "required": ["spec"],
    }


def _without_defaults(schema: Schema) -> Schema:
    """What the operator leaves out of status stays out."""
    result = {key: value for key, value in schema.items() if key != "default"}
    for key in ("items", "additionalProperties"):
        if key in schema:
            result[key] = _without_defaults(schema[key])
    if "properties" in schema:
        children = schema["properties"].items()
        result["properties"] = {name: _without_defaults(child) for name, child in children}
    return result


def _column(name: str, path: str, wide: bool) -> dict[str, Any]:  # noqa: FBT001 - a table's row
    kind = "date" if path.endswith("Timestamp") else "string"
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if wide else {})

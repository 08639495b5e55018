"""The CustomResourceDefinitions, as they follow from the types."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import BaseModel

from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview
from sluicegate.api.schema import Schema, structural_schema, with_sentences

_READY_PATH: Final = '.status.conditions[?(@.type=="Ready")].status'
Column = tuple[str, str, bool]
"""Name, path, and whether it is shown only with -o wide."""
_COLUMNS: Final[tuple[Column, ...]] = (
    ("Ready", _READY_PATH, False),
    ("Reason", ".status.summary.reason", False),
    ("State", ".status.state", False),
    ("SLO", ".status.summary.slo", False),
    ("Model", ".status.stable.version", False),
    ("Canary", ".status.summary.canary", False),
    ("Priority", ".spec.priority", False),
    ("Age", ".metadata.creationTimestamp", False),
    ("Owner", ".spec.owner", True),
    ("Markets", ".status.summary.markets", True),
    ("Lifecycle", ".spec.lifecycle", True),
)


_REVIEW_COLUMNS: Final[tuple[Column, ...]] = (
    ("Product", ".spec.productRef.name", False),
    ("From", ".spec.period.startTime", False),
    ("To", ".spec.period.endTime", False),
    ("State", ".status.state", False),
    ("Due", ".status.dueTime", False),
    ("Signed by", ".status.reviewedBy", False),
    ("Digest", ".status.digest", True),
)


@dataclass(frozen=True, slots=True)
class Definition:
    """One kind of ours."""

    model: type[BaseModel]
    kind: str
    plural: str
    singular: str
    short_name: str
    columns: Sequence[Column]

    @property
    def file_name(self) -> str:
        """Return the path of its definition."""
        return f"{self.plural}.{names.GROUP}.yaml"


PRODUCTS: Final = Definition(
    DataProduct, names.KIND, names.PLURAL, names.SINGULAR, names.SHORT_NAME, _COLUMNS
)
REVIEWS: Final = Definition(
    DataProductReview,
    names.REVIEW_KIND,
    names.REVIEW_PLURAL,
    names.REVIEW_SINGULAR,
    names.REVIEW_SHORT_NAME,
    _REVIEW_COLUMNS,
)
DEFINITIONS: Final = (PRODUCTS, REVIEWS)


def build_crd(definition: Definition = PRODUCTS) -> dict[str, Any]:
    """Return the CustomResourceDefinition as plain data."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{definition.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": definition.kind,
                "listKind": f"{definition.kind}List",
                "plural": definition.plural,
                "singular": definition.singular,
                "shortNames": [definition.short_name],
                "categories": [names.CATEGORY],
            },
            "versions": [_version(definition)],
        },
    }


def render_crd(definition: Definition = PRODUCTS) -> str:
    """Return the CustomResourceDefinition as YAML, the same for the same types."""
    header = (
        "# Generated from operator/sluicegate/api by `sluicegate crds`; edit the types instead.\n"
    )
    document = json.loads(
        json.dumps(build_crd(definition))
    )  # shared parts would come out as YAML aliases
    return header + yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)


def _version(definition: Definition) -> dict[str, Any]:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root_schema(structural_schema(definition.model))},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in definition.columns],
    }


def _root_schema(schema: Schema) -> Schema:
    """Remove apiVersion, kind and metadata, which the API server describes itself."""
    properties = schema["properties"]
    standard_fields = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    status = _without_defaults(properties["status"]) | {"default": properties["status"]["default"]}
    return schema | {
        "properties": standard_fields
        | {"spec": _spec_schema(properties["spec"]), "status": status},
        "required": ["spec"],
    }


def _spec_schema(spec: Schema) -> Schema:
    """Return the schema of a spec; the parts of a training's pod have no descriptions.

    Kubernetes describes them, and `kubectl apply` keeps a definition in an annotation of limited size.
    """
    schema = with_sentences(spec)
    retraining = schema["properties"].get("retraining")
    if retraining is not None:
        template = retraining["properties"]["podTemplate"]
        description = {"description": template["description"]}
        retraining["properties"]["podTemplate"] = description | _without(template, "description")
    return schema


def _without_defaults(schema: Schema) -> Schema:
    """Return the schema without defaults: a field that the operator doesn't write stays absent."""
    return _without(schema, "default")


def _without(schema: Schema, keyword: str) -> Schema:
    """Return the schema in which no part has this keyword."""
    result = {key: value for key, value in schema.items() if key != keyword}
    for key in ("items", "additionalProperties"):
        if key in schema:
            result[key] = _without(schema[key], keyword)
    if "properties" in schema:
        children = schema["properties"].items()
        result["properties"] = {name: _without(child, keyword) for name, child in children}
    return result


def _column(name: str, path: str, is_wide: bool) -> dict[str, Any]:  # noqa: FBT001 - a table's row
    kind = "date" if path.endswith("Timestamp") else "string"
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if is_wide else {})

"""From the types' JSON schema to the structural schema that a CRD may hold.

A structural schema has no references, no alternatives and no key patterns; what those said
is written out in place, and key patterns become CEL.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from sluicegate.api.base import ApiModel, Rule
from sluicegate.api.patterns import is_at_server, sentence_of

Schema = dict[str, Any]

_DROPPED_KEYWORDS = {
    "title",
    "$defs",
    "additionalProperties",
    "const",
    "propertyNames",
    "patternProperties",
    "$ref",
    "anyOf",
    "allOf",
}
_KEY_SIZE = 317
"""Longest key of a label-like map: a prefix of 253, a slash and a name of 63."""


def structural_schema(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model, with its descriptions, defaults, bounds and rules."""
    schema = model.model_json_schema(by_alias=True)
    types = {kind.__name__: kind for kind in _models(model)}
    return _Structural(schema.get("$defs", {}), types).convert(schema, types[model.__name__])


def _models(model: type[BaseModel]) -> Iterator[type[ApiModel]]:
    """Yield all models of the API. Their names are unique, as the CRD's reader expects."""
    models: list[type[ApiModel]] = [ApiModel]
    while models:
        kind = models.pop()
        models += kind.__subclasses__()
        yield kind
    assert issubclass(model, ApiModel)


class _Structural:
    """Writes references out in place, with the rules of the type they name."""

    def __init__(self, defs: Mapping[str, Schema], types: Mapping[str, type[ApiModel]]) -> None:
        self._defs = defs
        self._types = types

    def convert(self, schema: Schema, kind: type[ApiModel] | None = None) -> Schema:
        schema, kind = self._resolved_schema(schema, kind)
        if "x-kubernetes-int-or-string" in schema:
            return _without_empty_fields(schema)
        result = {key: value for key, value in schema.items() if key not in _DROPPED_KEYWORDS}
        result |= (
            self._constant_schema(schema)
            | self._child_schemas(schema)
            | _map_value_schema(self, schema)
        )
        result = _without_empty_fields(result | _integer_format(schema))
        rules = [_rule_schema(rule) for rule in kind.cel_rules] if kind else []
        rules += _key_rules(schema)
        return result | ({"x-kubernetes-validations": rules} if rules else {})

    def _resolved_schema(
        self, schema: Schema, kind: type[ApiModel] | None
    ) -> tuple[Schema, type[ApiModel] | None]:
        """Return the schema without reference and without "or null"; and its model, if it is one."""
        while "$ref" in schema or _is_nullable(schema):
            outer_fields = {
                key: value for key, value in schema.items() if key not in {"$ref", "anyOf"}
            }
            if "$ref" in schema:
                name = schema["$ref"].rpartition("/")[2]
                kind, inner_schema = self._types.get(name), self._defs[name]
            else:
                inner_schema = next(item for item in schema["anyOf"] if item.get("type") != "null")
            schema = {**inner_schema, **outer_fields}
        return schema, kind

    def _constant_schema(self, schema: Schema) -> Schema:
        return {"enum": [schema["const"]]} if "const" in schema else {}

    def _child_schemas(self, schema: Schema) -> Schema:
        children: Schema = {}
        if "properties" in schema:
            children["properties"] = {
                name: self.convert(child) for name, child in schema["properties"].items()
            }
        if "items" in schema:
            children["items"] = self.convert(schema["items"])
        return children


def _is_nullable(schema: Schema) -> bool:
    return any(item.get("type") == "null" for item in schema.get("anyOf", ()))


def _map_value_schema(structural: _Structural, schema: Schema) -> Schema:
    values = schema.get("additionalProperties")
    patterns = schema.get("patternProperties", {})
    if patterns:
        values = next(iter(patterns.values()))
    if isinstance(values, dict):
        return {"additionalProperties": structural.convert(values)}
    return {}


def _integer_format(schema: Schema) -> Schema:
    return {"format": "int64"} if schema.get("type") == "integer" else {}


def _without_empty_fields(schema: Schema) -> Schema:
    """Remove empty parts: what the API server doesn't store is a permanent difference for Argo CD.

    The default `{}` lets an object with defaults inside appear.
    """
    empty_values: dict[str, tuple[object, ...]] = {"default": (None, []), "properties": ({},)}
    return {key: value for key, value in schema.items() if value not in empty_values.get(key, ())}


def _key_rules(schema: Schema) -> list[Schema]:
    names = schema.get("propertyNames", {})
    pattern = names.get("pattern") or next(iter(schema.get("patternProperties", {})), None)
    size = names.get("maxLength", _KEY_SIZE)
    rule, message = f"size(key) <= {size}", f"keys have at most {size} characters"
    if pattern is not None:
        need = sentence_of(pattern) or f"must match {pattern}"
        rule, message = f"{rule} && {_matches('key', pattern)}", f"{message}, and each {need}"
    elif "maxLength" not in names:
        return []
    return [{"rule": f"self.all(key, {rule})", "message": message}]


def _matches(variable: str, pattern: str) -> str:
    escaped_pattern = pattern.replace("\\", "\\\\").replace("'", "\\'")
    return f"{variable}.matches('{escaped_pattern}')"


def with_sentences(schema: Schema) -> Schema:
    """Return a structural schema with a rule for each pattern whose sentence the API server has.

    The API server reports both; a client that checks a file without it has the pattern.
    """
    result = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = with_sentences(schema[key])
    if "properties" in schema:
        children = schema["properties"].items()
        result["properties"] = {name: with_sentences(child) for name, child in children}
    pattern = schema.get("pattern", "")
    if not is_at_server(pattern):
        return result
    rule = {"rule": _matches("self", pattern), "message": sentence_of(pattern)}
    return result | {"x-kubernetes-validations": [rule]}


def _rule_schema(rule: Rule) -> Schema:
    field_path = {"fieldPath": f".{rule.field}"} if rule.field else {}
    return {"rule": rule.cel, "message": rule.message} | field_path

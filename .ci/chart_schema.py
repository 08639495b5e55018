"""Write the parts of the chart that follow from the programs: the schemas of their settings.

`values.schema.json` gets the schema of `settings` and `extraSettings` (the operator's settings) and of
`notify.config` (the messenger's configuration); `files/settings.json` has what only a template can
check. With --check it writes nothing, and fails if a file differs.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from pydantic.alias_generators import to_camel

from sluicegate.notify.configuration import Configuration
from sluicegate.settings import Settings, variable

CHART: Final = Path(__file__).parents[1] / "charts/sluicegate"
SCHEMA: Final = CHART / "values.schema.json"
FACTS: Final = CHART / "files/settings.json"
WIDTH: Final = 110
BY_THE_CHART: Final = {
    "namespace": "the chart sets it to the release's namespace",
    "podName": "the chart sets it to the pod's name",
    "watchNamespaces": "set watchNamespaces, beside settings",
    "excludedNamespaces": "set excludedNamespaces, beside settings",
    "randomIds": "set randomIds",
    "reviewsArchived": "set archive.enabled",
    "tracesEndpoint": "set tracing.endpoint",
    "metricsPort": "the chart's probes and Services use 8080",
    "tlsCertFile": "set operator.tls.secretName",
    "tlsPrivateKeyFile": "set operator.tls.secretName",
}
"""Settings that other values set, and the way out."""
_SCALAR: Final = {"type": ["string", "number", "boolean"]}
_NUMBER: Final = r"^([0-9]+([.][0-9]+)?)?$"
Schema = dict[str, Any]


def main(*, check: bool) -> int:
    """Write the files, or compare them."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    schema["$defs"] = {
        **{name: one for name, one in schema["$defs"].items() if not name.startswith("program.")},
        **generated(),
    }
    failed = 0
    for path, content in ((SCHEMA, schema), (FACTS, facts())):
        text = compact(content) + "\n"
        if not check:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            print(f"{path} differs from the programs: run `make crds`", file=sys.stderr)
            failed = 1
    return failed


def generated() -> Schema:
    """Return the definitions that follow from the programs; their names begin with `program.`."""
    own = Settings.model_json_schema(by_alias=False)
    fields = {name: _resolved(own["properties"][name], own) for name in names()}
    written = {to_camel(name): of_setting(field) for name, field in fields.items()}
    settings = {
        "type": "object",
        "properties": {name: one for name, one in written.items() if name not in BY_THE_CHART},
    }
    extra = {
        "type": "object",
        "propertyNames": {"pattern": "^(SLUICEGATE|OTEL)_[A-Z0-9_]+$"},
        "properties": {variable(name): as_text(field) for name, field in fields.items()},
        "additionalProperties": _SCALAR,
    }  # fmt: skip
    return {"program.settings": settings, "program.extraSettings": extra, **of_messenger()}


def names() -> list[str]:
    """Return the fields of the operator's settings."""
    return list(Settings.model_fields)


def facts() -> Schema:
    """Return variables, bounds and defaults of settings, and settings that other values set."""
    own = Settings.model_json_schema(by_alias=False)["properties"]
    return {
        "variables": {to_camel(name): variable(name) for name in names() if to_camel(name) not in BY_THE_CHART},
        "byTheChart": {
            to_camel(name): {"variable": variable(name), "instead": BY_THE_CHART[to_camel(name)]}
            for name in names()
            if to_camel(name) in BY_THE_CHART
        },
        "numbers": {
            variable(name): {key: own[name][key] for key in ("minimum", "maximum", "default")}
            for name in names()
            if "minimum" in own[name]
        },
    }  # fmt: skip


def _resolved(field: Schema, root: Schema) -> Schema:
    """Return a field's schema without references, titles, defaults and null."""
    if "$ref" in field:
        below = root["$defs"][field["$ref"].rsplit("/", 1)[-1]]
        field = {**below, "description": field.get("description", "")}
    if "anyOf" in field:
        (below,) = (one for one in field["anyOf"] if one.get("type") != "null")
        field = {**below, **{key: one for key, one in field.items() if key != "anyOf"}}
    kept = {key: one for key, one in field.items() if key not in {"title", "default", "format"}}
    if "description" in kept:
        kept["description"] = " ".join(kept["description"].split())
    return kept


def of_setting(field: Schema) -> Schema:
    """Return the schema of a setting as a value: empty is unset, a list may be text with commas."""
    if "enum" in field:
        words = [case for one in field["enum"] for case in (one, one.upper(), one.lower())]
        return {**field, "enum": list(dict.fromkeys(["", *words]))}
    if field["type"] == "array":
        item = field["items"]["pattern"].removeprefix("^").removesuffix("$")
        text = {"type": "string", "pattern": f"^[ ,]*({item}( *,[ ,]*{item})*[ ,]*)?$"}
        listed = {"type": "array", "items": field["items"]}
        return {"description": field.get("description", ""), "anyOf": [text, listed]}
    if field["type"] == "string" and "pattern" in field:
        return {**field, "pattern": f"^$|{field['pattern']}"}
    return field


def as_text(field: Schema) -> Schema:
    """Return the schema of a setting as a variable: numbers and flags may be text."""
    if field.get("type") in {"integer", "number"}:
        return {"anyOf": [field, {"type": "string", "pattern": _NUMBER}]}
    if field.get("type") == "boolean":
        return {"anyOf": [field, {"type": "string", "pattern": "^([Tt]rue|[Ff]alse|TRUE|FALSE)?$"}]}
    return of_setting(field)


def of_messenger() -> Schema:
    """Return the definitions of the messenger's configuration."""
    place = "#/$defs/program.notify.{model}"
    whole = Configuration.model_json_schema(by_alias=True, ref_template=place)
    below = whole.pop("$defs")
    # An empty configuration is one that is left out: the chart's template names the way out.
    whole = {"type": "object", "if": {"minProperties": 1}, "then": _plain(whole)}
    return {
        "program.notify": whole,
        **{f"program.notify.{name}": _plain(one) for name, one in sorted(below.items())},
    }


def _plain(node: Any, *, by_name: bool = False) -> Any:
    """Return a schema without titles, defaults, discriminators and null; keys that match no pattern fail.

    With `by_name` the keys of `node` are names of fields or of definitions.
    """
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    if "discriminator" in node:
        return _by_kind(node)
    if not by_name and "anyOf" in node:
        (below,) = (one for one in node["anyOf"] if one.get("type") != "null")
        node = {**below, **{key: one for key, one in node.items() if key != "anyOf"}}
    kept = {
        key: _plain(one, by_name=not by_name and key in {"properties", "patternProperties"})
        for key, one in node.items()
        if by_name or key not in {"title", "default", "format"}
    }
    if "patternProperties" in kept and not by_name:
        kept["additionalProperties"] = False
    return kept


def _by_kind(node: Schema) -> Schema:
    """Return a choice by the field `kind`, so that an error is about the kind that is written."""
    kinds = node["discriminator"]["mapping"]
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": sorted(kinds)}},
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}}, "then": {"$ref": place}}
            for kind, place in sorted(kinds.items())
        ],
    }


def compact(node: Any, indent: int = 0, before: int = 0) -> str:
    """Write JSON with what fits on a line on one line."""
    line = json.dumps(node, ensure_ascii=False)
    if not isinstance(node, dict | list) or not node or indent + before + len(line) < WIDTH:
        return line
    inner = " " * (indent + 2)
    if isinstance(node, list):
        parts = [inner + compact(one, indent + 2) for one in node]
        return "[\n" + ",\n".join(parts) + "\n" + " " * indent + "]"
    parts = []
    for key, one in node.items():
        name = json.dumps(key) + ": "
        parts.append(inner + name + compact(one, indent + 2, len(name)))
    return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))

"""Write operator/sluicegate/api/pod_fields.json: pod_fields.yaml with the types of Kubernetes.

With --check it writes nothing, and fails if the file differs.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes.client import models

SELECTION: Final = Path(__file__).with_suffix(".yaml")
RESULT: Final = Path(__file__).parents[1] / "operator/sluicegate/api/pod_fields.json"
Entries = dict[str, dict[str, Any]]


def pod_fields(selection: Entries) -> Entries:
    """Return each type with its fields: type, description, bound of a list, and whether it is required.

    Raises SystemExit for a field that Kubernetes does not have, or that is neither selected nor refused.
    """
    ours = {source: name for name, entry in selection.items() for source in sources(entry)}
    return {name: _type(name, entry, ours) for name, entry in selection.items()}


def sources(entry: dict[str, Any]) -> list[str]:
    """Return the types of Kubernetes that an entry stands for."""
    return entry["of"] if isinstance(entry["of"], list) else [entry["of"]]


def _type(name: str, entry: dict[str, Any], ours: dict[str, str]) -> dict[str, Any]:
    for source in sources(entry):
        _check(name, entry, set(getattr(models, source).attribute_map.values()))
    kind = getattr(models, sources(entry)[0])
    names = {alias: own for own, alias in kind.attribute_map.items()}
    fields = {}
    for field, given in entry["fields"].items():
        bound, description = given if isinstance(given, list) else (None, given)
        below = kind.openapi_types[names[field]].removeprefix("List[").removesuffix("]")
        required = kind.model_fields[names[field]].is_required() or field in entry.get(
            "required", ()
        )
        fields[field] = {
            "type": bound if isinstance(bound, str) else ours.get(below, below),
            "description": description,
            **({"items": bound} if isinstance(bound, int) else {}),
            **({"required": True} if required and field not in entry.get("optional", ()) else {}),
        }
    return {"description": entry["description"], "fields": fields}


def _check(name: str, entry: dict[str, Any], theirs: set[str]) -> None:
    if unknown := sorted(entry["fields"].keys() - theirs):
        raise SystemExit(
            f"{SELECTION.name}: {name} has {unknown}, which Kubernetes does not: remove them"
        )
    refused = entry.get("refused", [])
    left = sorted(theirs - entry["fields"].keys() - set(refused)) if refused != "others" else []
    if left:
        raise SystemExit(
            f"{SELECTION.name}: {name} lacks {left}: add them to its fields or to refused"
        )


def rendered() -> str:
    """Return the text of pod_fields.json."""
    fields = pod_fields(yaml.safe_load(SELECTION.read_text(encoding="utf-8")))
    return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        RESULT.write_text(rendered(), encoding="utf-8")
    elif RESULT.read_text(encoding="utf-8") != rendered():
        raise SystemExit(f"{RESULT} differs from {SELECTION}: run `make crds`")

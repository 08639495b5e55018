"""What lives reach of the API: values of the spec, edits and requests by phase, and words of status.

All rows that there can be follow from the CRD's schema and from the enums of `api`. A row is a
subject and a value, e.g. `spec.rollout.approval` and `Manual`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import yaml
from pydantic import BaseModel

from benchmarks.virtual.structural import product_schema
from sluicegate.api import names
from sluicegate.api.event_reasons import EventReason
from sluicegate.api.pod_types import Passed
from sluicegate.api.product import DataProductSpec
from sluicegate.api.versions import CandidatePhase
from sluicegate.kube.resources import DATA_PRODUCTS, EVENTS, Resource
from tests.support.lives.steps import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from benchmarks.virtual.operator import World

Body = dict[str, Any]
Row = tuple[str, str]

NO_CANDIDATE: Final = "NoCandidate"
TRAINING: Final = "Training"
PHASES: Final = (NO_CANDIDATE, *CandidatePhase, TRAINING)
"""Phases of a candidate, and of a training, which runs beside them."""
DIVIDED: Final = ("model", "rollout", "retraining")
"""Fields of the spec whose own fields are edited one by one; the others are one group each."""
PASSED_LEVELS: Final = 2
"""Levels of fields that are counted below one that is passed on to pods."""
REQUESTS: Final = {
    names.REQUEST_PROMOTE: ("", "candidate", "stable", "past", "unknown"),
    names.REQUEST_ABORT: ("", "candidate", "stable", "past", "unknown"),
    names.REQUEST_ROLLBACK: ("candidate", "stable", "past", "unknown"),
    names.REQUEST_RETRAIN: ("",),
}
"""The requests of people, and which version each may name."""
WORDS: Final = {
    "decision type": tuple(map(str, names.DecisionType)),
    "decision reason": tuple(map(str, names.DecisionReason)),
    "condition type": tuple(map(str, names.ConditionType)),
    "condition reason": tuple(map(str, names.ConditionReason)),
    "event reason": tuple(map(str, EventReason)),
}
UNREACHED: Final = Path(__file__).with_name("unreached.yaml")
COMMON: Final = 5
"""Lives of a run that reach a row which needn't be listed as rare."""
FEWEST_LIVES: Final = 300
"""Lives from which on a run must reach the rare rows too."""


# ---- the rows that there can be -----------------------------------------------------------------
@cache
def all_rows() -> tuple[Row, ...]:
    """All rows, in the order of the table."""
    return tuple(_all_rows())


def _all_rows() -> Iterator[Row]:
    parts = product_schema()["properties"]
    yield from _rows_of("spec", parts["spec"], required=True)
    yield from ((f"edit of {group}", phase) for group in groups() for phase in PHASES)
    for request, versions in REQUESTS.items():
        for version in versions:
            subject = _request(request, version)
            impossible = {NO_CANDIDATE} if version == "candidate" else set()
            yield from ((subject, phase) for phase in PHASES if phase not in impossible)
    yield from _words_of("status", parts["status"])
    yield from ((subject, word) for subject, words in WORDS.items() for word in words)
    yield from (("step", kind) for kind in KINDS)


@cache
def groups() -> tuple[str, ...]:
    """Fields of the spec that are edited together."""
    fields = product_schema()["properties"]["spec"]["properties"]
    return tuple(
        path
        for name, schema in fields.items()
        for path in (
            [f"{name}.{below}" for below in schema["properties"]] if name in DIVIDED else [name]
        )
    )


def _request(request: str, version: str) -> str:
    name = request.rpartition("/")[2]
    return f"request {name}" + (f" of version {version}" if version else "")


@cache
def passed_paths() -> frozenset[str]:
    """Fields whose values go to pods as they are; of them only the first levels are counted."""
    return frozenset(_passed("spec", DataProductSpec))


def _passed(path: str, model: type[BaseModel]) -> Iterator[str]:
    for name, one in model.model_fields.items():
        below = f"{path}.{one.alias or name}"
        for kind, suffix in _models_of(one.annotation, ""):
            if issubclass(kind, Passed):
                yield below + suffix
            else:
                yield from _passed(below + suffix, kind)


def _models_of(annotation: Any, suffix: str) -> Iterator[tuple[type[BaseModel], str]]:
    """The models in an annotation, each with `[]` or `{}` for the containers around it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, suffix
    below = {tuple: "[]", dict: "{}"}.get(get_origin(annotation), "")
    for one in get_args(annotation):
        yield from _models_of(one, suffix + below)


def _is_below(path: str) -> bool:
    """Whether a field is so deep within one that is passed on that it isn't counted."""
    return any(
        path.startswith(one) and path[len(one) :].count(".") > PASSED_LEVELS
        for one in passed_paths()
    )


def _rows_of(path: str, schema: Body, *, required: bool) -> Iterator[Row]:
    """The classes of values of a field, and of the fields below it."""
    if _is_below(path):
        return
    if not required and "default" not in schema:
        yield path, "absent"
    for name in _classes(schema, required=required):
        yield path, name
    needed = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        yield from _rows_of(f"{path}.{name}", one, required=name in needed)
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        yield from _rows_of(f"{path}{{}}", others, required=True)
    if schema.get("type") == "array":
        yield from _rows_of(f"{path}[]", schema["items"], required=True)


def _classes(schema: Body, *, required: bool) -> Iterator[str]:
    if "enum" in schema:
        yield from map(str, schema["enum"])
    elif schema.get("type") == "boolean":
        yield from ("false", "true")
    elif schema.get("type") == "integer":
        yield from dict.fromkeys(
            [
                *(["default"] if "default" in schema else []),
                *("min" for bound in ("minimum",) if schema[bound] != schema.get("default")),
                *("max" for bound in ("maximum",) if schema[bound] != schema.get("default")),
                "other",
            ]
        )
    elif _is_many(schema):
        yield "one"
        yield from ["several"] * (schema.get("maxItems", schema.get("maxProperties", 2)) > 1)
    elif "properties" in schema or schema.get("type") == "object":
        yield from ["given"] * (not required)
    else:
        yield from ["default"] * ("default" in schema)
        yield "given"


def _is_many(schema: Body) -> bool:
    return schema.get("type") == "array" or isinstance(schema.get("additionalProperties"), dict)


def _words_of(path: str, schema: Body) -> Iterator[Row]:
    """The words of status that are of a closed list."""
    yield from ((path, str(word)) for word in schema.get("enum", ()))
    for name, one in schema.get("properties", {}).items():
        yield from _words_of(f"{path}.{name}", one)
    for suffix, name in (("{}", "additionalProperties"), ("[]", "items")):
        if isinstance(schema.get(name), dict):
            yield from _words_of(path + suffix, schema[name])


# ---- the rows of an object ----------------------------------------------------------------------
def spec_rows(spec: Body) -> Iterator[Row]:
    """The classes of values that a spec has, as it is stored."""
    yield from _seen("spec", spec, product_schema()["properties"]["spec"])


def _seen(path: str, value: Any, schema: Body) -> Iterator[Row]:
    yield path, _class_of(value, schema)
    if isinstance(value, dict):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, one in fields.items():
            if name in value:
                yield from _seen(f"{path}.{name}", value[name], one)
            else:
                yield f"{path}.{name}", "absent"
        for name, part in value.items():
            if name not in fields and isinstance(others, dict):
                yield from _seen(f"{path}{{}}", part, others)
    elif isinstance(value, list):
        for part in value:
            yield from _seen(f"{path}[]", part, schema["items"])


def _class_of(value: Any, schema: Body) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if "enum" in schema:
        return str(value)
    if _is_many(schema):
        return "absent" if not value else "one" if len(value) == 1 else "several"
    if value == schema.get("default") and not isinstance(value, dict):
        return "default"
    if isinstance(value, int) and schema.get("type") == "integer":
        bounds = {schema["minimum"]: "min", schema["maximum"]: "max"}
        return bounds.get(value, "other")
    return "given"


def status_rows(status: Body) -> Iterator[Row]:
    """The words that a status has."""
    yield from _seen_words("status", status, product_schema()["properties"]["status"])
    words = set(_texts(status))
    yield from (("decision reason", word) for word in WORDS["decision reason"] if word in words)
    decision = status.get("decision") or {}
    yield "decision type", decision.get("type", "")
    for condition in status.get("conditions") or ():
        yield "condition type", condition["type"]
        yield "condition reason", condition.get("reason", "")


def _seen_words(path: str, value: Any, schema: Body) -> Iterator[Row]:
    if "enum" in schema:
        yield path, str(value)
    elif isinstance(value, dict):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, part in value.items():
            if name in fields:
                yield from _seen_words(f"{path}.{name}", part, fields[name])
            elif isinstance(others, dict):
                yield from _seen_words(f"{path}{{}}", part, others)
    elif isinstance(value, list) and "items" in schema:
        for part in value:
            yield from _seen_words(f"{path}[]", part, schema["items"])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def phases_of(status: Body) -> tuple[str, ...]:
    """The phase of a product's candidate, and whether a training runs."""
    phase = (status.get("candidate") or {}).get("phase") or NO_CANDIDATE
    training = bool((status.get("retraining") or {}).get("job"))
    return (phase, TRAINING) if training else (phase,)


def edited(before: Body, after: Body) -> list[str]:
    """The groups of fields in which two specs differ."""
    return [group for group in groups() if _part(before, group) != _part(after, group)]


def _part(spec: Body, group: str) -> Any:
    value: Any = spec
    for name in group.split("."):
        value = (value or {}).get(name)
    return value


def request_of(annotation: str, value: str, status: Body) -> str:
    """A request, and which of the product's versions it names."""
    version = value.rpartition("/")[0]
    places = {
        "candidate": [status.get("candidate")],
        "stable": [status.get("stable")],
        "past": status.get("history") or (),
    }
    named = "unknown" if version else ""
    for place, versions in places.items():
        if version and any(one and one["version"] == version for one in versions):
            named = place
            break
    return _request(annotation, named)


# ---- what a life reaches ------------------------------------------------------------------------
@dataclass
class Reach:
    """Watches all that is written in a life; `rows` is what it reaches."""

    world: World
    rows: set[Row] = field(default_factory=set)
    _parts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin to watch."""
        self.world.server.on_change.append(self._changed)

    def step(self, kind: str) -> None:
        """Take in that a step was carried out."""
        self.rows.add(("step", kind))

    @property
    def numbers(self) -> list[int]:
        """The rows by their places in `all_rows`."""
        places = _places()
        return sorted(places[row] for row in self.rows if row in places)

    def _changed(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        if resource is EVENTS and after is not None:
            self.rows.add(("event reason", after.get("reason", "")))
        if resource is not DATA_PRODUCTS or after is None:
            return
        if before is None or before["spec"] != after["spec"]:
            self.rows |= set(spec_rows(after["spec"]))
        status, earlier = after.get("status") or {}, (before or {}).get("status") or {}
        for name in status.keys() | earlier.keys():
            if status.get(name) != earlier.get(name):
                self.rows |= set(status_rows({name: status[name]} if name in status else {}))
        if before is not None and self.world.network.writer is None:
            self._acted(before, after, earlier)

    def _acted(self, before: Body, after: Body, status: Body) -> None:
        """Take in what a person changed, and in which phase."""
        for phase in phases_of(status):
            if before["spec"] != after["spec"]:
                for group in edited(before["spec"], after["spec"]):
                    self.rows.add((f"edit of {group}", phase))
            was, now = (one["metadata"].get("annotations") or {} for one in (before, after))
            for name in REQUESTS:
                if name in now and now[name] != was.get(name):
                    self.rows.add((request_of(name, now[name], status), phase))


@cache
def _places() -> dict[Row, int]:
    return {row: number for number, row in enumerate(all_rows())}


# ---- all lives of a run -------------------------------------------------------------------------
@dataclass
class Table:
    """How many lives of a run reached each row."""

    lives: int = 0
    counts: Counter[int] = field(default_factory=Counter)

    def add(self, numbers: Iterable[int]) -> None:
        """Count a life."""
        self.lives += 1
        self.counts.update(numbers)

    def count(self, row: Row) -> int:
        """How many lives reached a row."""
        return self.counts[_places()[row]]

    def unreached(self) -> list[Row]:
        """The rows that no life reached."""
        return [row for row in all_rows() if not self.count(row)]

    def problems(self, listed: Listed) -> list[str]:
        """What contradicts the list of rows that aren't reached."""
        rows = set(all_rows())
        found = [
            f"{_text(row)}: there is no such row; remove it from {UNREACHED.name}"
            for row in (*listed.never, *listed.rare)
            if row not in rows
        ]
        for row in all_rows():
            reached, whole = self.count(row), self.lives >= FEWEST_LIVES
            if reached and row in listed.never:
                found.append(f"{_text(row)}: {reached} lives reach it; remove it from never")
            elif not reached and row not in listed.never and (whole or row not in listed.rare):
                found.append(f"{_text(row)}: no life reaches it; draw it, or list it with a reason")
        return found

    def common(self, listed: Listed) -> list[Row]:
        """The rows that are listed as rare, and that many lives reach."""
        return [row for row in listed.rare if self.count(row) >= COMMON]

    def __str__(self) -> str:
        """A line for each subject, with how many lives reached each of its values."""
        lines: dict[str, list[str]] = {}
        for row in all_rows():
            lines.setdefault(row[0], []).append(f"{row[1]} {self.count(row)}")
        reached = sum(1 for row in all_rows() if self.count(row))
        head = f"{reached} of {len(all_rows())} rows are reached by {self.lives} lives"
        return "\n".join(
            [*(f"{name}: {', '.join(values)}" for name, values in lines.items()), head]
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows that a run need not reach, each with its reason.

    Attributes
    ----------
    never : rows that no life reaches. rare : rows that only long runs must reach.
    """

    never: Mapping[Row, str]
    rare: Mapping[Row, str]


def read_listed(path: Path = UNREACHED) -> Listed:
    """The kept list."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Listed(*(dict(_entries(document[name])) for name in ("never", "rare")))


def _entries(groups_of_rows: Iterable[Body]) -> Iterator[tuple[Row, str]]:
    for group in groups_of_rows:
        for subject, values in group["rows"].items():
            yield from (((subject, str(value)), group["why"]) for value in values)


def _text(row: Row) -> str:
    return json.dumps({row[0]: [row[1]]})

"""The operator's actions in a story, as a text that a person reads and compares.

Each write that changes an object has a paragraph: the time, the object, and each field before and
after. Events are lines of their own. Reads are counted at the end.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import REGISTRY

from benchmarks.virtual.api_server import target_of
from sluicegate.kube.resources import DATA_PRODUCTS, EVENTS, LEASES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.virtual.operator import World
    from sluicegate.kube.requests import ApiRequest
    from sluicegate.kube.resources import Resource

Body = dict[str, Any]

UNTOLD: Final = frozenset(
    {"lastRefreshTime", "lastTransitionTime", "observedGeneration", "writtenBy"}
)
"""Fields that only depend on the time of a write, and on the release."""
BROAD: Final = frozenset({"conditions", "slos", "history", "versions", "engine", "evidence"})
"""Parts of a status with a line for each of their own parts."""
COUNTED: Final = frozenset({"conditions", "diagnosis", "evidence", "slos"})
"""Parts that are shown only if more than numbers differ."""
NAMES: Final = ("name", "type", "slo", "revision", "version", "at", "username")
"""Fields that identify the items of a list."""
HASH: Final = re.compile(r"\b[0-9a-f]{16}\b")
MAX_SHOWN: Final = 40
"""Characters of a field's old value; of a longer one only the new value is shown."""


class Record:
    """Record of the operator's actions in a world, from now on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lines: list[str] = []
        self._requests: Counter[str] = Counter()
        world.server.on_change.append(self._changed)
        world.network.faults["record"] = self._sent

    def say(self, text: str) -> None:
        """Add a line about the world."""
        self._lines.append(f"{self._time()} --- {text}")

    def end(self) -> str:
        """Return the whole text, with counts and metrics."""
        self.say("at the end")
        self._lines += [f"    reconciles: {self._world.steps}"]
        self._lines += [f"    {name}: {times}" for name, times in sorted(self._requests.items())]
        queries = self._world.prometheus.queries
        self._lines += [f"    queries of {name}: {queries[name]}" for name in sorted(queries)]
        for body in self._world.server.all(DATA_PRODUCTS):
            self._lines.append(f"    {body['metadata']['name']}:")
            described = paragraphs({}, _summary(DATA_PRODUCTS, body))
            self._lines += [f"    {line}" for line in described]
        leader = self._world.leader()
        if leader is not None:
            leader.scrape()
            self._lines += [f"    {line}" for line in _metrics()]
        return numbered("\n".join(self._lines) + "\n")

    def _time(self) -> str:
        seconds = int(self._world.loop.time())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    def _sent(self, _: str, request: ApiRequest) -> None:
        target = target_of(request.path)
        if target is None or target.resource == LEASES:
            return
        part = f"/{target.subresource}" if target.subresource else ""
        self._requests[f"{request.method} {target.resource.plural}{part}"] += 1

    def _changed(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        if self._world.network.writer is None or resource == LEASES:
            return
        body = after or before
        assert body is not None
        if resource == EVENTS:
            subject = body["regarding"]["name"]
            times = f" ({body['series']['count']} times)" if body.get("series") else ""
            self._lines.append(
                f"{self._time()} {body['type']} event {body['reason']} of {subject}{times}: {body['note']}"
            )
            return
        name = f"{resource.plural}/{body['metadata']['name']}"
        verb = "created" if before is None else "deleted" if after is None else "changed"
        lines = list(paragraphs(_summary(resource, before), _summary(resource, after)))
        if lines or after is None:
            self._lines += [f"{self._time()} {name} {verb}", *(lines if after else ())]


def _summary(resource: Resource, body: Body | None) -> Body:
    """Return the relevant part of an object: of a product its status, of a child the parts that vary."""
    if body is None:
        return {}
    if resource == DATA_PRODUCTS:
        status = dict(body.get("status") or {})
        if candidate := dict(status.get("candidate") or {}):
            status |= {"evidence": candidate.pop("evidence", None), "candidate": candidate}
        return status
    left_out = {"template", "selector", "strategy", "ports"}
    spec = {name: part for name, part in body["spec"].items() if name not in left_out}
    meta = body["metadata"].get("annotations") or {}
    return {"annotations": meta, "spec": spec, "env": _environment(body)}


def _environment(body: Body) -> Body:
    """Return the variables of a Job's containers."""
    pod = (body["spec"].get("template") or {}).get("spec") or {}
    variables = (
        variable for each in pod.get("containers") or () for variable in each.get("env") or ()
    )
    if body["kind"] != "Job":
        return {}
    return {variable["name"]: variable.get("value") for variable in variables}


def paragraphs(before: Body, after: Body) -> Iterator[str]:
    """Yield a line for each part that differs: its fields, before and after."""
    for part in sorted((before.keys() | after.keys()) - UNTOLD):
        was, now = before.get(part), after.get(part)
        if part in BROAD:
            was, now = (_by_name(one) if isinstance(one, list) else one or {} for one in (was, now))
            for name in sorted(was.keys() | now.keys()):
                yield from _line(f"{part}.{name}", was.get(name), now.get(name))
        else:
            yield from _line(part, was, now)


def _line(part: str, before: Any, after: Any) -> Iterator[str]:
    if part.partition(".")[0] in COUNTED and _words(before) == _words(after):
        return
    if differences := "; ".join(changes(before, after)):
        yield f"    {part}: {differences}"


def _words(value: Any) -> str:
    """Return all of it without numbers."""
    return re.sub(r"[-.,\d]+", "", json.dumps(value, sort_keys=True))


def changes(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield each field that differs, before and after."""
    if isinstance(after, dict) and (before is None or isinstance(before, dict)):
        was = before or {}
        for name in sorted((was.keys() | after.keys()) - UNTOLD):
            field_path = f"{path}.{name}" if path else name
            yield from changes(was.get(name), after.get(name), field_path)
    elif _is_named(after) and (before is None or _is_named(before)):
        yield from changes(_by_name(before or []), _by_name(after), path)
    elif before != after:
        old = "" if before is None else f"{_shown(before)} → "
        new = "gone" if after is None else _shown(after)
        shown_value = new if after is None or len(old) > MAX_SHOWN else old + new
        yield f"{path} {shown_value}".lstrip()


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _by_name(items: list[Body]) -> Body:
    by_name: Body = {}
    for number, item in enumerate(items):
        name = next((name for name in NAMES if name in item), "")
        key = str(item[name]) if name else str(number)
        by_name[key] = {each: value for each, value in item.items() if each != name}
    return by_name


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return re.sub(r"sha256:(.)\1{63}", r"\1", re.sub(r"2026-01-01T(\d\d:\d\d:\d\d)Z", r"\1", text))


def numbered(text: str) -> str:
    """Replace hashes of manifests by their order, so that only their changes are shown."""
    numbers: dict[str, str] = {}
    return HASH.sub(lambda match: numbers.setdefault(match[0], f"hash-{len(numbers) + 1}"), text)


def _metrics() -> Iterator[str]:
    """Yield metrics of products, as Prometheus scrapes them."""
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name.startswith("sluicegate_product") and "product" in sample.labels:
                labels = ", ".join(f"{name}={text}" for name, text in sorted(sample.labels.items()))
                yield f"{sample.name}{{{labels}}} {sample.value:g}"

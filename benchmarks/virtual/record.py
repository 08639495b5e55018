"""What a whole operator does in a story, as a text that a person reads and compares.

Each write that changes an object has a paragraph: when, which object, and each field as it was and
as it is. Events are lines of their own. What is only read is counted at the end.
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
"""Fields that follow from when something is written, and by which release."""
BROAD: Final = frozenset({"conditions", "slos", "history", "versions", "engine", "evidence"})
"""Parts of a status with a line for each of their own parts."""
COUNTED: Final = frozenset({"conditions", "diagnosis", "evidence", "slos"})
"""Parts that are shown once more than numbers differ."""
NAMES: Final = ("name", "type", "slo", "revision", "version", "at", "username")
"""What tells the items of a list apart."""
HASH: Final = re.compile(r"\b[0-9a-f]{16}\b")
MOST_SHOWN: Final = 40
"""Characters of what a field was; of a longer text only what it is."""


class Record:
    """Writes down what the operator of a world does, from now on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lines: list[str] = []
        self._requests: Counter[str] = Counter()
        world.server.on_change.append(self._changed)
        world.network.faults["record"] = self._sent

    def say(self, text: str) -> None:
        """What happens to the operator."""
        self._lines.append(f"{self._time()} --- {text}")

    def end(self) -> str:
        """The whole text, with what was counted and what the metrics are."""
        self.say("at the end")
        self._lines += [f"    reconciles: {self._world.steps}"]
        self._lines += [f"    {name}: {times}" for name, times in sorted(self._requests.items())]
        asked = self._world.prometheus.asked
        self._lines += [f"    queries of {name}: {asked[name]}" for name in sorted(asked)]
        for body in self._world.server.all(DATA_PRODUCTS):
            self._lines.append(f"    {body['metadata']['name']}:")
            told = paragraphs({}, _told(DATA_PRODUCTS, body))
            self._lines += [f"    {line}" for line in told]
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
            about = body["regarding"]["name"]
            times = f" ({body['series']['count']} times)" if body.get("series") else ""
            self._lines.append(
                f"{self._time()} {body['type']} event {body['reason']} of {about}{times}: {body['note']}"
            )
            return
        name = f"{resource.plural}/{body['metadata']['name']}"
        verb = "created" if before is None else "deleted" if after is None else "changed"
        lines = list(paragraphs(_told(resource, before), _told(resource, after)))
        if lines or after is None:
            self._lines += [f"{self._time()} {name} {verb}", *(lines if after else ())]


def _told(resource: Resource, body: Body | None) -> Body:
    """What is worth telling: of a product its status, of a child what isn't the same in each."""
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
    """Variables of a Job's containers: what it is told."""
    pod = (body["spec"].get("template") or {}).get("spec") or {}
    found = (one for each in pod.get("containers") or () for one in each.get("env") or ())
    return {one["name"]: one.get("value") for one in found} if body["kind"] == "Job" else {}


def paragraphs(before: Body, after: Body) -> Iterator[str]:
    """A line for each part that differs: its fields, as they were and as they are."""
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
    if found := "; ".join(changes(before, after)):
        yield f"    {part}: {found}"


def _words(value: Any) -> str:
    """All of it but numbers."""
    return re.sub(r"[-.,\d]+", "", json.dumps(value, sort_keys=True))


def changes(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Each field that differs, as it was and as it is."""
    if isinstance(after, dict) and (before is None or isinstance(before, dict)):
        was = before or {}
        for name in sorted((was.keys() | after.keys()) - UNTOLD):
            below = f"{path}.{name}" if path else name
            yield from changes(was.get(name), after.get(name), below)
    elif _is_named(after) and (before is None or _is_named(before)):
        yield from changes(_by_name(before or []), _by_name(after), path)
    elif before != after:
        old = "" if before is None else f"{_shown(before)} → "
        new = "gone" if after is None else _shown(after)
        told = new if after is None or len(old) > MOST_SHOWN else old + new
        yield f"{path} {told}".lstrip()


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _by_name(items: list[Body]) -> Body:
    found: Body = {}
    for number, one in enumerate(items):
        name = next((name for name in NAMES if name in one), "")
        key = str(one[name]) if name else str(number)
        found[key] = {each: value for each, value in one.items() if each != name}
    return found


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return re.sub(r"sha256:(.)\1{63}", r"\1", re.sub(r"2026-01-01T(\d\d:\d\d:\d\d)Z", r"\1", text))


def numbered(text: str) -> str:
    """The text with hashes of manifests by their order: it tells when they change, not what they are."""
    known: dict[str, str] = {}
    return HASH.sub(lambda found: known.setdefault(found[0], f"hash-{len(known) + 1}"), text)


def _metrics() -> Iterator[str]:
    """Those of products, as Prometheus scrapes them."""
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name.startswith("sluicegate_product") and "product" in sample.labels:
                labels = ", ".join(f"{name}={text}" for name, text in sorted(sample.labels.items()))
                yield f"{sample.name}{{{labels}}} {sample.value:g}"

"""What people do while a product is in a phase: any edit and any request, in each phase."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sluicegate.kube.resources import DATA_PRODUCTS, Key, Resource
from tests.support.lives.edits import draw_edit
from tests.support.lives.reach import NO_CANDIDATE, PHASES, REQUESTS, groups, phases_of

if TYPE_CHECKING:
    from tests.support.lives.life import Living

Body = dict[str, Any]
Cell = tuple[str, str, Any]

EDIT: Final = "edit"
SECONDS: Final = 5.0
"""From the beginning of a phase to what a person does in it; a promotion lasts few seconds."""


@cache
def cells() -> tuple[Cell, ...]:
    """Each phase with each edit of a group of fields, and with each request."""
    edits = [(phase, EDIT, group) for phase in PHASES for group in groups()]
    requests = [
        (phase, request, version)
        for phase in PHASES
        for request, versions in REQUESTS.items()
        for version in versions
        if version != "candidate" or phase != NO_CANDIDATE
    ]
    return (*edits, *requests)


@dataclass
class Traps:
    """Actions of a life that wait for a phase of a product: one action each time that the phase begins."""

    life: Living
    waiting: dict[tuple[Key, str], list[tuple[str, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def __post_init__(self) -> None:
        """Begin to watch."""
        self.life.world.server.on_change.append(self._changed)

    def set(self, product: int, phase: str, deed: str, value: Any) -> None:
        """Add an action for the next time that a product enters a phase."""
        self.waiting[self.life.keys[product], phase].append((deed, value))

    def _changed(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        if resource is not DATA_PRODUCTS or before is None or after is None:
            return
        key = Key(after["metadata"]["namespace"], after["metadata"]["name"])
        was, now = (phases_of(one.get("status") or {}) for one in (before, after))
        for phase in now:
            if phase not in was and (deeds := self.waiting[key, phase]):
                deed, value = deeds.pop(0)
                self.life.later(SECONDS, lambda: self._do(key, deed, value))  # noqa: B023

    def _do(self, key: Key, deed: str, value: Any) -> None:
        if self.life.faults_ended:
            return
        product, life = self.life.keys.index(key), self.life
        body = life.world.server.find(DATA_PRODUCTS, key)
        if body is None:
            return
        if deed == EDIT:
            seed = int(life.world.loop.time())
            life.edit(product, **draw_edit(value, body["spec"], seed))
            return
        token = f"at-{life.world.loop.time():.0f}"
        version = version_of(value, body.get("status") or {})
        life.annotate(product, deed, f"{version}/{token}" if version else token)


def version_of(place: str, status: Body) -> str:
    """The name of the version at a place of status; one that there is not where none is there."""
    found: Any = {
        "candidate": status.get("candidate"),
        "stable": status.get("stable"),
        "past": next(iter(status.get("history") or ()), None),
    }.get(place)
    return "" if not place else (found or {"version": "v-unknown"})["version"]

"""A real operator process around the runtime, whose controller copies each product.

`python -m tests.support.copying_operator` runs it, configured as the operator itself. The copy of
a product is a ConfigMap with the product's generation. With COPIER_TURNS it writes each copy ten
times a second, with the number of the turn: so a second writer could not go unnoticed. While
there is a file COPIER_HELD_BY, each write waits.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate import handlers
from sluicegate.app import Controller, Program, Tools
from sluicegate.kube.requests import ABSENT
from sluicegate.kube.resources import CONFIG_MAPS, DATA_PRODUCTS, Key
from sluicegate.runtime.contracts import Done, Priority, Record, Result, Watched
from sluicegate.runtime.logs import JsonFormatter, configure_logging
from sluicegate.runtime.recorder import Note, Subject
from sluicegate.settings import parse_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

LABELS = {"app.kubernetes.io/managed-by": "sluicegate"}
SELECTOR = "app.kubernetes.io/managed-by=sluicegate"
TURN_SECONDS = 0.1
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Product(Record):
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Record):
    data: tuple[tuple[str, str], ...]


def project_product(body: Mapping[str, Any]) -> Product:
    meta = body["metadata"]
    key = Key(meta["namespace"], meta["name"])
    return Product(
        key=key,
        parent=key,
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        generation=meta["generation"],
        urgent=meta["generation"],
    )


def project_copy(body: Mapping[str, Any]) -> Copy | None:
    meta = body["metadata"]
    owners = [
        one["name"] for one in meta.get("ownerReferences", ()) if one["kind"] == "DataProduct"
    ]
    if not owners:
        return None
    return Copy(
        key=Key(meta["namespace"], meta["name"]),
        parent=Key(meta["namespace"], owners[0]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        data=tuple(sorted((body.get("data") or {}).items())),
    )


class Copier:
    """Keeps a copy of each product."""

    def __init__(self, tools: Tools, *, turns: bool, held_by: Path | None) -> None:
        self._tools = tools
        self._turn = 0 if turns else None
        self._held_by = held_by

    async def reconcile(self, key: Key) -> Result:
        caches = self._tools.caches
        product = caches.products.get(key)
        if not isinstance(product, Product):
            return Done()
        data = self.wanted(product)
        copies = [one for one in caches[CONFIG_MAPS].children(key) if isinstance(one, Copy)]
        if copies and dict(copies[0].data) == data:
            return Done()
        while self._held_by and self._held_by.exists():  # noqa: ASYNC110 - a test takes it away
            await asyncio.sleep(LOOK_SECONDS)
        written = await self._tools.api.apply(
            CONFIG_MAPS,
            self.render(product, data),
            resource_version=str(copies[0].version) if copies else ABSENT,
        )
        caches.written(CONFIG_MAPS, written)
        if self._turn is None:
            self.tell(product)
        return Done()

    def wanted(self, product: Product) -> dict[str, str]:
        data = {"generation": str(product.generation)}
        return data if self._turn is None else {**data, "turn": str(self._turn)}

    def render(self, product: Product, data: dict[str, str]) -> dict[str, Any]:
        owner = {
            "apiVersion": DATA_PRODUCTS.api_version,
            "kind": DATA_PRODUCTS.kind,
            "name": product.key.name,
            "uid": product.uid,
            "controller": True,
        }
        return {
            "metadata": {
                "namespace": product.key.namespace,
                "name": f"{product.key.name}-copy",
                "labels": LABELS,
                "ownerReferences": [owner],
            },
            "data": data,
        }

    def tell(self, product: Product) -> None:
        subject = Subject(DATA_PRODUCTS, product.key, product.uid)
        self._tools.recorder.record(Note(subject, "Copied", "Copy", "the product was copied"))

    async def take_turns(self) -> None:
        while True:
            await asyncio.sleep(TURN_SECONDS)
            self._turn = (self._turn or 0) + 1
            for key in self._tools.caches.products:
                self._tools.queue.add(key, Priority.BACKGROUND)


def program(*, turns: bool = False, held_by: Path | None = None) -> Program:
    def build(tools: Tools) -> Controller:
        copier = Copier(tools, turns=turns, held_by=held_by)
        leading = {"turns": copier.take_turns} if turns else {}
        return Controller(reconciler=copier, leading=leading)

    watched = (
        Watched(DATA_PRODUCTS, project_product),
        Watched(CONFIG_MAPS, project_copy, labels=SELECTOR),
    )
    return Program(watched, build)


def main() -> None:
    settings = parse_settings(os.environ)
    configure_logging(settings.log_level, JsonFormatter())
    turns = os.environ.get("COPIER_TURNS") == "true"
    held_by = os.environ.get("COPIER_HELD_BY")
    handlers.run(settings, program(turns=turns, held_by=Path(held_by) if held_by else None))


if __name__ == "__main__":
    main()

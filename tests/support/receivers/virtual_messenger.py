"""Replicas of the real messenger on virtual time, and receivers that are up, down or slow."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.operator import SETTINGS, Replica, World
from sluicegate.kube.resources import CONFIG_MAPS, DATA_PRODUCTS, Key
from sluicegate.notify.configuration import Configuration, parse
from sluicegate.notify.cursor import decode_cursor
from sluicegate.notify.program import LEASE, program
from tests.support.receivers.changing_product import ChangingProduct
from tests.support.virtual.stories import product

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sluicegate.kube.requests import ApiRequest
    from sluicegate.manager import Program
    from sluicegate.notify.catalogue import Kind

BUS: Final = {"kind": "CloudEvents", "url": "http://bus.example/events"}
STATE: Final = Key(SETTINGS.namespace, LEASE)


def configuration(**parts: Any) -> Configuration:
    """Return a configuration that sends all messages to one bus at once; parts may differ."""
    return parse(
        {
            "groupSeconds": 0, "foldSeconds": 0, "sinks": {"bus": BUS},
            "routes": [{"to": ["bus"]}], **parts,
        }
    )  # fmt: skip


@dataclass(slots=True)
class ReceivedMessage:
    """A request at a receiver; `late` ones are from a process that has ended."""

    at: float
    headers: Mapping[str, str]
    body: Any

    @property
    def data(self) -> dict[str, Any]:
        """Of a structured CloudEvent its data."""
        return dict(self.body["data"])

    @property
    def kind(self) -> str:
        """The transition that it is about."""
        return str(self.data.get("transition", self.body["type"]))

    @property
    def product(self) -> str:
        """Path of the product, or empty."""
        return str(self.body.get("subject", ""))


@dataclass
class VirtualReceiver:
    """A receiver; `answer` is given the time, and returns a status and headers, or None for no answer."""

    answer: Callable[[float], tuple[int, dict[str, str]] | None] = lambda _: (202, {})
    seconds: float = 0.01
    got: list[ReceivedMessage] = field(default_factory=list)
    tried: int = 0

    def distinct(self) -> list[ReceivedMessage]:
        """Return the received events without repeated ones by source and id, as CloudEvents has it."""
        messages: dict[tuple[str, str], ReceivedMessage] = {}
        for message in self.got:
            messages.setdefault((message.body["source"], message.body["id"]), message)
        return list(messages.values())


@dataclass
class VirtualHttp:
    """The way from one replica to the receivers."""

    messenger: MessengerWorld
    replica: VirtualMessenger

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, ca_file: Path | None
    ) -> tuple[int, Mapping[str, str]]:
        receiver, loop = self.messenger.receivers[url], self.messenger.world.loop
        receiver.tried += 1
        await asyncio.sleep(receiver.seconds / 2)
        self.messenger.happens()
        if self.replica.is_gone:
            raise ConnectionRefusedError("the process is gone")
        answer = receiver.answer(loop.wall())
        if answer is None:
            raise ConnectionRefusedError("connection refused")
        if answer[0] // 100 == 2:
            receiver.got.append(ReceivedMessage(loop.wall(), headers, json.loads(body)))
            self.messenger.happens()  # before its sender knows
        await asyncio.sleep(receiver.seconds / 2)
        return answer

    async def keep(self) -> None:
        await asyncio.Event().wait()


@dataclass(eq=False)
class VirtualMessenger(Replica):
    """One replica of the messenger."""

    messenger: MessengerWorld = None  # type: ignore[assignment]  # the dataclass before has defaults

    def program(self) -> Program:
        return program(self.messenger.configuration, http=lambda: VirtualHttp(self.messenger, self))


class MessengerWorld:
    """A cluster with products whose statuses are written as by an operator, and receivers by URL.

    With `beside`, it is the cluster of an operator, which writes the statuses itself.
    """

    def __init__(
        self,
        seed: int = 0,
        excluded: tuple[str, ...] = (),
        beside: World | None = None,
        **parts: Any,
    ) -> None:
        self.settings = (beside.settings if beside else SETTINGS).model_copy(
            update={"lease_name": LEASE, "excluded_namespaces": excluded}
        )
        self.world = beside or World(seed, self.settings)
        self.configuration = configuration(**parts)
        self.receivers: dict[str, VirtualReceiver] = {
            sink.url: VirtualReceiver() for sink in self.configuration.sinks.values() if sink.url
        }
        self.products: dict[Key, ChangingProduct] = {}
        self.done: dict[Key, list[Kind]] = {}
        self.happens: Callable[[], None] = lambda: None
        """Called at each request of a replica, before and after its effect."""
        self.world.network.faults["observer"] = self._observe

    @property
    def bus(self) -> VirtualReceiver:
        """The receiver of the sink `bus`."""
        return self.receivers[BUS["url"]]

    def start(self, **settings: Any) -> VirtualMessenger:
        """Start a replica."""
        number = len(self.world.replicas) + 1
        chosen = self.settings.model_copy(update=settings)
        replica = VirtualMessenger(self.world, f"notify-{number}", chosen, messenger=self).start()
        self.world.replicas.append(replica)
        return replica

    def create(self, name: str, **spec: Any) -> Key:
        """Create a product that serves."""
        key = self.world.apply(product(name, **spec))
        self.products[key] = ChangingProduct(int(self.world.loop.wall()))
        self.done[key] = []
        self._write(key)
        return key

    def step(self, key: Key, do: Callable[[ChangingProduct], Kind]) -> Kind:
        """Let one transition of a product happen."""
        product = self.products[key]
        product.now = max(product.now + 1, int(self.world.loop.wall()))
        kind = do(product)
        self.done[key].append(kind)
        self._write(key)
        return kind

    def any_step(self, key: Key) -> None:
        """Let any transition of a product happen."""
        product = self.products[key]
        now = max(product.now + 1, int(self.world.loop.wall()))
        self.done[key].append(product.step(self.world.dice, now))
        self._write(key)

    def _observe(self, _: str, request: ApiRequest) -> None:
        if request.method != "GET" and "leases" not in request.path:
            self.happens()

    def has_passed_all(self, key: Key) -> bool:
        """Return whether the messenger's cursor has passed all transitions of a product."""
        body = self.world.server.find(CONFIG_MAPS, STATE) or {}
        text = (body.get("data") or {}).get(f"p.{key.namespace}.{key.name}", "")
        cursor = decode_cursor(text)
        return cursor is not None and cursor.count == len(self.done[key])

    def _write(self, key: Key) -> None:
        self.world.server.set_status(DATA_PRODUCTS, key, self.products[key].body())

    def has_cursor(self, key: Key) -> bool:
        """Return whether the messenger has a cursor of a product."""
        body = self.world.server.find(CONFIG_MAPS, STATE)
        return bool(body) and f"p.{key.namespace}.{key.name}" in (body.get("data") or {})

    async def settle(self, count: int, *, seconds: float = 600) -> None:
        """Let time pass until the bus has this many distinct events."""
        await self.world.until(
            lambda: len(self.bus.distinct()) >= count, seconds=seconds, what=f"{count} events"
        )

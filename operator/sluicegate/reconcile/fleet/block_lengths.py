"""How many lengths of blocks the products of a namespace may use together.

Each length in use is a set of queries about all products, so with a length of its own
for each of its products, one namespace could overload Prometheus for all. The oldest
products' lengths hold, so none that is measured loses its own by a product that comes later.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from sluicegate.errors import Problem
from sluicegate.kube.resources import Key

MOST_LENGTHS: Final = 6
"""Of one namespace. A set of queries takes Prometheus some ten milliseconds for each product."""

_Age = tuple[str, str]
"""When a product was created, as RFC 3339, and its name."""


@dataclass(slots=True)
class BlockLengths:
    """The lengths in use by namespace. Used from the event loop only.

    `wake` is called with each product that was refused a length that it can have now.
    """

    wake: Callable[[Key], None] = lambda _: None
    _products: dict[str, dict[int, dict[str, _Age]]] = field(default_factory=dict)
    """Ages by namespace, length and name."""
    _wanted: dict[Key, int] = field(default_factory=dict)
    """Length by product."""
    _refused: set[Key] = field(default_factory=set)

    def record(self, key: Key, seconds: int, created: str) -> None:
        """Record that a product wants blocks of this length; `created` as RFC 3339."""
        self._drop(key)
        self._wanted[key] = seconds
        lengths = self._products.setdefault(key.namespace, {})
        lengths.setdefault(seconds, {})[key.name] = created, key.name

    def forget(self, key: Key) -> None:
        """Forget a product that is gone, and wake those that can have their length by that."""
        self._refused.discard(key)
        self._drop(key)
        self.wake_relieved(key.namespace)

    def problems(self, key: Key) -> Iterator[Problem]:
        """Yield why a product that was recorded can't have its length; nothing when it can."""
        seconds = self._wanted[key]
        held = self._held(key.namespace)
        if seconds in held:
            self._refused.discard(key)
            return
        self._refused.add(key)
        listed = ", ".join(map(str, sorted(held)))
        yield Problem(
            "spec.analysis.blockSeconds",
            f"is {seconds}, but older products of the namespace use {MOST_LENGTHS} lengths already,"
            f" each of which costs Prometheus a set of queries: set it to one of {listed}",
        )

    def nearest(self, key: Key) -> int:
        """Return the length that a product can have: its own, or the next longer one that is held."""
        seconds = self._wanted[key]
        held = self._held(key.namespace)
        longer = [one for one in held if one >= seconds]
        return seconds if seconds in held else min(longer, default=max(held, default=seconds))

    def relieved(self, namespace: str) -> tuple[Key, ...]:
        """Products that were refused, and can have their length now."""
        waiting = [key for key in self._refused if key.namespace == namespace]
        return tuple(key for key in waiting if self._wanted[key] in self._held(namespace))

    def wake_relieved(self, namespace: str) -> None:
        """Wake the products of a namespace that were refused, and can have their length now."""
        for key in self.relieved(namespace):
            self.wake(key)

    def _drop(self, key: Key) -> None:
        if (seconds := self._wanted.pop(key, None)) is None:
            return
        lengths = self._products[key.namespace]
        del lengths[seconds][key.name]
        if not lengths[seconds]:
            del lengths[seconds]
        if not lengths:
            del self._products[key.namespace]

    def _held(self, namespace: str) -> Collection[int]:
        """Return the lengths that products of the namespace may use: those of the oldest."""
        lengths = self._products.get(namespace, {})
        if len(lengths) <= MOST_LENGTHS:
            return lengths
        return sorted(lengths, key=lambda one: min(lengths[one].values()))[:MOST_LENGTHS]

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

MAX_LENGTHS: Final = 6
"""Of one namespace. A set of queries takes Prometheus some ten milliseconds for each product."""

_Age = tuple[str, str]
"""When a product was created, as RFC 3339, and its name."""


@dataclass(slots=True)
class BlockLengths:
    """The block lengths in use by namespace. Not thread-safe: for the event loop only.

    `wake` is called with each product that was refused a length that it can have now.
    """

    wake: Callable[[Key], None] = lambda _: None
    _products: dict[str, dict[int, dict[str, _Age]]] = field(default_factory=dict)
    """Ages by namespace, length and name."""
    _requested: dict[Key, int] = field(default_factory=dict)
    """Length by product."""
    _refused_keys: set[Key] = field(default_factory=set)

    def record(self, key: Key, seconds: int, created: str) -> None:
        """Record that a product requests blocks of this length; `created` as RFC 3339."""
        self._drop(key)
        self._requested[key] = seconds
        lengths = self._products.setdefault(key.namespace, {})
        lengths.setdefault(seconds, {})[key.name] = created, key.name

    def forget(self, key: Key) -> None:
        """Drop a deleted product, and requeue the products that can use their length now."""
        self._refused_keys.discard(key)
        self._drop(key)
        self.wake_relieved(key.namespace)

    def problems(self, key: Key) -> Iterator[Problem]:
        """Yield why a recorded product can't use its block length; empty if it can."""
        seconds = self._requested[key]
        used_lengths = self._used_lengths(key.namespace)
        if seconds in used_lengths:
            self._refused_keys.discard(key)
            return
        self._refused_keys.add(key)
        lengths_text = ", ".join(map(str, sorted(used_lengths)))
        yield Problem(
            "spec.analysis.blockSeconds",
            f"is {seconds}, but older products of the namespace use {MAX_LENGTHS} lengths already,"
            f" each of which costs Prometheus a set of queries: set it to one of {lengths_text}",
        )

    def usable_length(self, key: Key) -> int:
        """Return the product's block length if it may use it, else the next longer one in use."""
        seconds = self._requested[key]
        used_lengths = self._used_lengths(key.namespace)
        longer_lengths = [length for length in used_lengths if length >= seconds]
        return (
            seconds
            if seconds in used_lengths
            else min(longer_lengths, default=max(used_lengths, default=seconds))
        )

    def requeued_products(self, namespace: str) -> tuple[Key, ...]:
        """Return refused products that can use their length now."""
        waiting = [key for key in self._refused_keys if key.namespace == namespace]
        return tuple(
            key for key in waiting if self._requested[key] in self._used_lengths(namespace)
        )

    def wake_relieved(self, namespace: str) -> None:
        """Wake the refused products of a namespace that can use their length now."""
        for key in self.requeued_products(namespace):
            self.wake(key)

    def _drop(self, key: Key) -> None:
        if (seconds := self._requested.pop(key, None)) is None:
            return
        lengths = self._products[key.namespace]
        del lengths[seconds][key.name]
        if not lengths[seconds]:
            del lengths[seconds]
        if not lengths:
            del self._products[key.namespace]

    def _used_lengths(self, namespace: str) -> Collection[int]:
        """Return the block lengths that products of the namespace may use, those of the oldest products."""
        lengths = self._products.get(namespace, {})
        if len(lengths) <= MAX_LENGTHS:
            return lengths
        return sorted(lengths, key=lambda length: min(lengths[length].values()))[:MAX_LENGTHS]

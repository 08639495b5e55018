"""Ready keys, taken from namespaces in turn.

A namespace with a thousand keys has as many turns as one with a single key: so a tenant that
changes many products delays its own. Keys of one namespace keep their order. It corresponds to the
fair queuing of the API server's priority and fairness, with a flow for each namespace.
"""

from collections import OrderedDict
from dataclasses import dataclass

from sluicegate.kube.resources import Key
from sluicegate.runtime.interfaces import QueuePriority


@dataclass(frozen=True, slots=True)
class WaitingKey:
    """A ready key and the time since which it waits, by the queue's clock."""

    priority: QueuePriority
    since: float


class NamespaceTurns:
    """Ready keys of one priority in round-robin order by namespace; each operation takes constant time."""

    def __init__(self) -> None:
        self._namespaces: OrderedDict[str, OrderedDict[Key, WaitingKey]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        """Return the number of keys."""
        return self._size

    def __contains__(self, key: Key) -> bool:
        """Return whether a key is ready."""
        return self.get(key) is not None

    def get(self, key: Key) -> WaitingKey | None:
        """Return a key's entry in the queue; None if it is not ready."""
        keys = self._namespaces.get(key.namespace)
        return None if keys is None else keys.get(key)

    def append(self, key: Key, waiting_key: WaitingKey) -> None:
        """Add a key after the others of its namespace; a new namespace comes last."""
        self._namespaces.setdefault(key.namespace, OrderedDict())[key] = waiting_key
        self._size += 1

    def remove(self, key: Key) -> WaitingKey | None:
        """Remove a key and return its wait; None if it isn't ready."""
        keys = self._namespaces.get(key.namespace)
        waiting_key = None if keys is None else keys.pop(key, None)
        if waiting_key is not None:
            self._size -= 1
            if not keys:
                del self._namespaces[key.namespace]
        return waiting_key

    def first(self) -> WaitingKey | None:
        """Return the wait of the key that is next; None if none is ready."""
        keys = next(iter(self._namespaces.values()), None)
        return None if keys is None else next(iter(keys.values()))

    def take(self) -> tuple[Key, WaitingKey]:
        """Remove the next key; the following key is from the next namespace.

        Raises
        ------
        KeyError
            No key is ready.
        """
        namespace, keys = self._namespaces.popitem(last=False)
        key_and_wait = keys.popitem(last=False)
        self._size -= 1
        if keys:
            self._namespaces[namespace] = keys
        return key_and_wait

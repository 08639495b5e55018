"""The interface between the runtime and a reconciler.

The runtime handles queues, leases and caches, independent of products; the reconciler handles
products.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol, TypeAlias

from sluicegate.errors import SluicegateError
from sluicegate.kube.resources import Key, Resource


class QueuePriority(IntEnum):
    """Priority of a key: smaller values are served first."""

    URGENT = 0  # a person changed the spec, or sent a request
    NORMAL = 1  # a child changed, or a block of a canary is complete
    BACKGROUND = 2  # no known change: resync, new leader, next block of an idle product


@dataclass(frozen=True, slots=True)
class Done:
    """The product is in sync until one of its objects changes."""


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """The product must be reconciled again after a time, or at an earlier change."""

    seconds: float


Result: TypeAlias = Done | RequeueAfter


class InvalidSpec(SluicegateError):  # noqa: N818  # the name of the condition's reason
    """The object can't be reconciled until a person changes it; the condition has the reason."""


class Reconciler(Protocol):
    """Idempotent reconciler; each call handles one product.

    Errors decide about the retry by their type: InvalidSpec isn't retried;
    `kube.errors.TooManyRequests` is retried after its Retry-After; Conflict, Transient and every
    other KubeError with exponential backoff; any other error is a bug, logged with its traceback
    and retried slowly.
    """

    async def reconcile(self, key: Key) -> Result:
        """Reconcile one product: one step towards its spec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The cached part of a live object: subclasses add the fields that decisions need.

    Subclasses are dataclasses with the same arguments (`frozen, slots, kw_only`). Equal records
    mean that nothing relevant has changed, so there is no work. `version` isn't compared, as it
    changes with every write.

    Attributes
    ----------
    key
        Name of the object itself.
    parent
        The product that it belongs to; the product's own name for a product.
    uid
        Distinguishes an object from a later one of the same name.
    version
        metadata.resourceVersion as a number; the API server's versions grow, also across kinds.
    urgent
        Values whose change is urgent, e.g. generation and one-shot annotations.
    """

    key: Key
    parent: Key
    uid: str
    version: int = field(compare=False)
    urgent: object = None


Work: TypeAlias = Callable[[], Awaitable[None]]
Projector: TypeAlias = Callable[[Mapping[str, Any]], Record | None]


@dataclass(frozen=True, slots=True)
class Watched:
    """A watched kind, and the projection of its objects.

    `project` gets each full object from a watch or list, and returns the record to store; None
    ignores the object, e.g. if it is not owned by a product.
    """

    resource: Resource
    project: Projector
    labels: str = ""

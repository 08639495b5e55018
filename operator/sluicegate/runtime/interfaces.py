"""The interface between the runtime and a reconciler.

The runtime knows queues, leases and caches, and no products; the reconciler knows the rest.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol, TypeAlias

from sluicegate.errors import SluicegateError
from sluicegate.kube.resources import Key, Resource


class QueuePriority(IntEnum):
    """Who is served first: the smaller, the sooner."""

    URGENT = 0  # a person changed the spec, or asked for something
    NORMAL = 1  # a child changed, or a block of a canary is complete
    BACKGROUND = 2  # no known change: resync, new leader, next block of an idle product


@dataclass(frozen=True, slots=True)
class Done:
    """The product is as it should be until something happens to it."""


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """The product wants to be reconciled again, if nothing happens to it before."""

    seconds: float


Result: TypeAlias = Done | RequeueAfter


class InvalidSpec(SluicegateError):  # noqa: N818  # the name of the condition's reason
    """The object can't be acted on until a person changes it; the condition says why."""


class Reconciler(Protocol):
    """One idempotent step for one product.

    Errors decide about the retry by their type: InvalidSpec isn't retried;
    `kube.errors.TooManyRequests` waits as told; Conflict, Transient and every other KubeError
    back off exponentially; anything else is a bug, logged with its traceback and retried slowly.
    """

    async def reconcile(self, key: Key) -> Result:
        """Bring one product a step nearer to its spec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The part of a live object that is kept: subclasses add the fields that they decide by.

    Subclasses are dataclasses with the same arguments (`frozen, slots, kw_only`). Two records that compare equal mean: nothing that matters has changed, so no work.
    `version` is left out of the comparison, for it moves with every write.

    Attributes
    ----------
    key
        Name of the object itself.
    parent
        The product it belongs to; the product's own name for a product.
    uid
        Distinguishes an object from a later one of the same name.
    version
        metadata.resourceVersion as a number; the API server's versions grow, also across kinds.
    urgent
        What makes a change of it urgent, e.g. generation and one-shot annotations.
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
    """A kind to watch, and how its objects are kept.

    `project` sees each full object as it arrives by event or page, and returns the record that
    stays; None leaves the object out, e.g. when it has no owner of ours.
    """

    resource: Resource
    project: Projector
    labels: str = ""

"""Containers at their limits and busy nodes, as the kubelet reports them."""

from typing import Final, NamedTuple, Protocol

from sluicegate.api.containers import Resources, quantity_number

THROTTLED_SHARE: Final = 0.25
"""Share of CPU periods from which on a container is called throttled."""
WAITING_CPU_SHARE: Final = 0.2
"""Share of time from which on a container that waits for a CPU is slow by that."""
MEMORY_FULL: Final = 0.95
"""Share of the memory limit from which on memory explains slowness."""


class ContainerUse(Protocol):
    """The measured use of a version's containers; None where unknown."""

    @property
    def cpu_throttled(self) -> float | None:
        """Return the largest share of throttled CPU periods of a container."""

    @property
    def cpu_waited(self) -> float | None:
        """Return the largest share of time in which a container waited for a CPU."""

    @property
    def cpus_used(self) -> float | None:
        """Return the CPUs in use, in cores."""

    @property
    def memory_used(self) -> float | None:
        """Return the largest used share of a container's memory limit."""


class AtLimit(NamedTuple):
    """The limits that a version's containers have reached; None where unknown."""

    cpu: bool | None
    memory: bool | None


def at_limit(facts: ContainerUse | None, resources: Resources) -> AtLimit:
    """Return the limits of these resources that the measured use has reached.

    The kubelet exports no share of what has no limit: where the spec sets none, and where CPU
    alone is missing (no quota is in force), nothing is at it. A limit that a namespace sets for
    all shows by being measured.
    """
    cpu = None if facts is None else facts.cpu_throttled
    memory = None if facts is None else facts.memory_used
    has_quota = "cpu" in resources.limits and memory is None
    return AtLimit(
        _exceeds(cpu, THROTTLED_SHARE, limited=has_quota),
        _exceeds(memory, MEMORY_FULL, limited="memory" in resources.limits),
    )


def _exceeds(share: float | None, max_share: float, *, limited: bool) -> bool | None:
    if share is None:
        return None if limited else False
    return share > max_share


def is_node_busy(facts: ContainerUse | None, resources: Resources) -> bool:
    """Return whether a pod lacks CPU that it requested because other pods use it.

    A pod that uses more than it requests waits by its own doing, and so does one that is throttled
    at its limit, whose kernel counts that as waiting. Without a request nothing is promised.
    """
    if facts is None or facts.cpu_waited is None or facts.cpus_used is None:
        return False
    requested = resources.requests.get("cpu") or resources.limits.get("cpu") or "0"
    waiting_cpu = facts.cpu_waited - (facts.cpu_throttled or 0.0)
    return waiting_cpu > WAITING_CPU_SHARE and facts.cpus_used <= quantity_number(requested)

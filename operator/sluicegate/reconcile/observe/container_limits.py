"""Whether containers are at the limits of their CPU and memory, as far as the kubelet says it."""

from typing import Final, NamedTuple

from sluicegate.api.containers import Resources
from sluicegate.prometheus.targets import TargetFacts

THROTTLED: Final = 0.25
"""Share of CPU periods from which on a container is called throttled."""
MEMORY_FULL: Final = 0.95
"""Share of the memory limit from which on memory explains slowness."""


class AtLimit(NamedTuple):
    """What a version's containers lack; None where it isn't known."""

    cpu: bool | None
    memory: bool | None


def at_limit(facts: TargetFacts | None, resources: Resources) -> AtLimit:
    """What the containers of these resources lack, by what was measured of them.

    The kubelet exports no share of what has no limit: where the spec sets none, and where CPU
    alone is missing (no quota is in force), nothing is at it. A limit that a namespace sets for
    all shows by being measured.
    """
    cpu = None if facts is None else facts.cpu_throttled
    memory = None if facts is None else facts.memory_used
    has_quota = "cpu" in resources.limits and memory is None
    return AtLimit(
        _beyond(cpu, THROTTLED, limited=has_quota),
        _beyond(memory, MEMORY_FULL, limited="memory" in resources.limits),
    )


def _beyond(share: float | None, most: float, *, limited: bool) -> bool | None:
    if share is None:
        return None if limited else False
    return share > most

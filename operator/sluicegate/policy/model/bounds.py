"""What is remembered, within what status can hold.

SLOs are renamed and troubles last, so what is remembered by their names would grow without end, and
a status beyond its schema is refused as a whole: then no decision is carried out any more.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeVar

from sluicegate.policy.model.state import Memory
from sluicegate.policy.model.terms import Terms
from sluicegate.slo.client_errors import CLIENT_ERRORS

T = TypeVar("T")

MOST_ALERTS: Final = 32
"""Alerts that status can hold; the newest are kept, so an older one may be told again."""
MOST_SLOS: Final = 17
"""Sixteen SLOs and the share of client errors."""


def bounded(terms: Terms, memory: Memory) -> Memory:
    """The memory without what it knows of SLOs that the spec doesn't have any more."""
    names = {*(slo.name for slo in terms.slos), CLIENT_ERRORS}
    stable, probation, candidate = memory.stable, memory.probation, memory.candidate
    if stable is not None:
        stable = replace(stable, baselines=_only(stable.baselines, names))
    if probation is not None:
        probation = replace(probation, baselines=_only(probation.baselines, names))
    if candidate is not None and len(candidate.correlation) > MOST_SLOS:
        candidate = replace(candidate, correlation=_only(candidate.correlation, names))
    return replace(
        memory,
        stable=stable,
        candidate=candidate,
        probation=probation,
        original=_only(memory.original, names),
        slos=_only(memory.slos, names),
        alerted=memory.alerted[-MOST_ALERTS:],
    )


def _only(known: Mapping[str, T], names: set[str]) -> Mapping[str, T]:
    if names.issuperset(known):
        return known
    return {name: value for name, value in known.items() if name in names}

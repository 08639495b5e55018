"""What is kept, within what status can hold.

SLOs are renamed and problems last, so records by their names would grow indefinitely, and the API
server refuses a status beyond its schema as a whole: then no decision is carried out any more.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from sluicegate.api.status import DataProductStatus
from sluicegate.policy.model.terms import Terms
from sluicegate.slo.client_errors import CLIENT_ERRORS

T = TypeVar("T")

MAX_ALERTS: Final = 32
"""Alerts that status can hold; the newest are kept, so an older one may be emitted again."""
MAX_SLOS: Final = 17
"""Sixteen SLOs and the share of client errors."""
MAX_MARKETS: Final = 65
"""Sixty-four markets and `other`."""


def bounded(terms: Terms, status: DataProductStatus) -> DataProductStatus:
    """Return the status without data of SLOs that the spec doesn't have any more."""
    names = {*(slo.name for slo in terms.slos), CLIENT_ERRORS}
    engine, stable = status.engine, status.stable
    if (
        stable is not None
        and (baseline := _entries_named(stable.baseline, names)) is not stable.baseline
    ):
        status = status.replace(stable=stable.replace(baseline=baseline))
    original_baselines = engine.original_baseline
    if (
        original_baselines is not None
        and (slos := _entries_named(original_baselines.slos, names)) is not original_baselines.slos
    ):
        original_baselines = original_baselines.replace(slos=slos) if slos else None
    correlation = engine.correlation
    next_slos = {
        "slos": _entries_named(engine.slos, names),
        "probation_baselines": _entries_named(engine.probation_baselines, names),
        "correlation": _entries_named(correlation, names)
        if len(correlation) > MAX_SLOS
        else correlation,
        "original_baseline": original_baselines,
        "emitted_alerts": engine.emitted_alerts[-MAX_ALERTS:],
        "tried_markets": engine.tried_markets[:MAX_MARKETS],
    }
    if all(getattr(engine, name) == value for name, value in next_slos.items()):
        return status
    return status.with_engine(**next_slos)


def _entries_named(entries: Mapping[str, T], names: set[str]) -> Mapping[str, T]:
    if names.issuperset(entries):
        return entries
    return {name: value for name, value in entries.items() if name in names}

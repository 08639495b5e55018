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
    if stable is not None and (baseline := _only(stable.baseline, names)) is not stable.baseline:
        status = status.replace(stable=stable.replace(baseline=baseline))
    original = engine.original_baseline
    if original is not None and (slos := _only(original.slos, names)) is not original.slos:
        original = original.replace(slos=slos) if slos else None
    correlation = engine.correlation
    after = {
        "slos": _only(engine.slos, names),
        "probation_baselines": _only(engine.probation_baselines, names),
        "correlation": _only(correlation, names) if len(correlation) > MAX_SLOS else correlation,
        "original_baseline": original,
        "emitted_alerts": engine.emitted_alerts[-MAX_ALERTS:],
        "tried_markets": engine.tried_markets[:MAX_MARKETS],
    }
    if all(getattr(engine, name) == value for name, value in after.items()):
        return status
    return status.with_engine(**after)


def _only(entries: Mapping[str, T], names: set[str]) -> Mapping[str, T]:
    if names.issuperset(entries):
        return entries
    return {name: value for name, value in entries.items() if name in names}

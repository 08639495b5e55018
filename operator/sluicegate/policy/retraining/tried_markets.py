"""Markets for which a training was tried and was no remedy: none is retrained for again by itself.

The stable version has the market that it was trained for. Versions before it were trained for others:
status keeps those that none of them remedied, so that two bad markets don't have each other retrained
for without end.
"""

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, Version, VersionSource
from sluicegate.policy.model.terms import Terms


def is_tried(terms: Terms, status: DataProductStatus, market: str, since: int) -> bool:
    """Return whether a training was no remedy for a market.

    It misses the SLO from the beginning of a stable version that was trained for it, or that
    descends from one that was.

    Parameters
    ----------
    since : time at which the evidence begins that the market misses the SLO, in seconds.
    """
    stable = status.stable
    if stable is None or since - stable.promotion_time >= terms.day_seconds:
        return False
    return market in {stable.cause_market, *status.engine.tried_markets}


def tried_after_promotion(
    terms: Terms, status: DataProductStatus, candidate: Candidate, now: int
) -> tuple[str, ...]:
    """Return the tried markets after a promotion; none for another model by spec.model."""
    stable = status.stable
    assert stable is not None
    descends = candidate.source is VersionSource.RETRAINING
    if not descends and not candidate.release.is_renewal_of(stable.release):
        return ()
    return _unremedied_markets(
        terms, status, stable, {stable.cause_market, *status.engine.tried_markets}, now=now
    )


def tried_after_rollback(terms: Terms, status: DataProductStatus, now: int) -> tuple[str, ...]:
    """Return the tried markets after an earlier version is restored.

    That which leaves was no try for its market: the failed attempt counts on its own.
    """
    stable = status.stable
    assert stable is not None
    return _unremedied_markets(terms, status, stable, set(status.engine.tried_markets), now=now)


def _unremedied_markets(
    terms: Terms, status: DataProductStatus, stable: Version, tried_markets: set[str], *, now: int
) -> tuple[str, ...]:
    """Return the markets except for those that met their SLOs for a day under the replaced version."""
    tried_markets.discard("")
    if now - stable.promotion_time >= terms.day_seconds:
        tried_markets &= {
            market for slo in status.engine.slos.values() for market in slo.missed_markets
        }
    return tuple(sorted(tried_markets))

"""Versions on the page of a product: each with what was tried and what it brought, and the log of all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sluicegate.api.product import DataProduct
from sluicegate.api.review import ProductRef, ReviewCandidate
from sluicegate.api.verdict import CanaryVerdict
from sluicegate.api.versions import VersionBase
from sluicegate.reporting.brought import lifts_of
from sluicegate.views.goals import worth_of
from sluicegate.views.iterations import iterations
from sluicegate.views.lift import headline_lift, lift_text, market_texts
from sluicegate.views.product import rollback_text
from sluicegate.views.trials import tried_text


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One version.

    Attributes
    ----------
    outcome : `Stable`, or a candidate's phase, for existing ones. start, end : in seconds.
    tried : what was tried, by its author, or how it came to be. brought : what it brought, by SLO.
    by_market : what it brought in each market. rollback : why its canary was rolled back.
    """

    version: str
    outcome: str
    reason: str
    tried: str
    digest: str
    start: int | None
    end: int | None
    brought: tuple[str, ...] = ()
    by_market: tuple[str, ...] = ()
    rollback: str = ""


def _gain_texts(product: DataProduct, verdict: CanaryVerdict | None) -> Iterator[str]:
    """Yield the gain of each SLO by a version, with its monetary value."""
    for lift in lifts_of(verdict) if verdict is not None else ():
        worth_text = worth_of(product, lift)
        yield f"{lift_text(lift)}: {worth_text}" if worth_text else lift_text(lift)


def _market_texts(verdict: CanaryVerdict | None, cause: str) -> tuple[str, ...]:
    """Return the lift of a version in each market, for the SLO that its rollout was about."""
    lifts = lifts_of(verdict) if verdict is not None else ()
    return market_texts(lifts, headline_lift(lifts, cause))


def timeline(product: DataProduct) -> Iterator[TimelineEntry]:
    """Yield the versions, newest first."""
    status = product.status
    if (candidate := status.candidate) is not None:
        yield _timeline_entry(
            candidate, str(candidate.phase), candidate.decision_reason, start=candidate.start_time
        )
    if (stable := status.stable) is not None:
        reason = "restored" if stable.restored else ""
        yield _timeline_entry(
            stable, "Stable", reason, start=stable.promotion_time,
            brought=tuple(_gain_texts(product, stable.verdict)),
            by_market=_market_texts(stable.verdict, stable.cause_slo),
        )  # fmt: skip
    for past_version in status.history:
        yield _timeline_entry(
            past_version, str(past_version.outcome), past_version.reason, start=past_version.promotion_time, end=past_version.end_time,
            brought=tuple(_gain_texts(product, past_version.verdict)),
            by_market=_market_texts(past_version.verdict, past_version.cause_slo),
            rollback=rollback_text(past_version.to_dict()),
        )  # fmt: skip


def _timeline_entry(
    version: VersionBase, outcome: str, reason: str, *, start: int | None, end: int | None = None,
    brought: tuple[str, ...] = (), by_market: tuple[str, ...] = (), rollback: str = "",
) -> TimelineEntry:  # fmt: skip
    trial_text = tried_text(version.to_dict())
    return TimelineEntry(
        version.version,
        outcome,
        reason,
        trial_text,
        version.digest,
        start,
        end,
        brought,
        by_market,
        rollback,
    )


def iteration_log(
    product: DataProduct, ledgers: Iterable[tuple[ProductRef, tuple[ReviewCandidate, ...]]]
) -> list[dict[str, Any]]:
    """Return the product's iterations with their results, the newest first.

    Parameters
    ----------
    ledgers : the product that each ledger is about, and the versions whose canary ended in it.
    """
    reviews = (
        {
            "spec": {"productRef": product_ref.to_dict()},
            "status": {"candidates": [candidate.to_dict() for candidate in candidates]},
        }
        for product_ref, candidates in ledgers
    )
    body = {
        "metadata": product.metadata.to_dict(field_names={"uid"}),
        "status": product.status.to_dict(field_names={"stable", "candidate", "history"}),
    }
    return iterations(body, reviews)

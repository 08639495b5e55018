"""May this SLO be judged at all? Named checks in one order; the first objection wins.

Missing or broken measurements make an SLO Unknown with a reason. Unknown is never zero and never
"pass": it starts no retraining and promotes nothing. Old blocks in a long window never make up
for a present without data, so the checks begin with the newest block.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health.label_settling import settle_time
from sluicegate.slo.blocks import Quality, Series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.canary_duration import warmed_up

LABEL_HOURS: Final = 24
"""Hours of the clock after which a version without any label counts as one that can't be measured:
labels of a day's predictions may come a day later, and until then their SLO is Unknown alone."""


@dataclass(frozen=True, slots=True)
class SloInput:
    """Input of the data checks.

    Attributes
    ----------
    terms : the SLO.
    series : its blocks for the stable version; None when the version has none at all.
    version_has_series : whether any SLO of the version had a series in the newest block.
    now : index of the newest complete block.
    since : blocks up to this one are warm-up, or too old. warm_up_end : last block of the warm-up.
    problem : why the newest block couldn't be read.
    version : the stable version. settles : blocks up to this one have labels of an earlier share of
        the traffic. labels_due : requests were answered whose labels should have come.
    """

    terms: SloTerms
    series: Series | None
    version_has_series: bool
    now: int
    since: int
    problem: Reason | None
    version: str
    settles: int
    warm_up_end: int
    labels_due: bool


Gate = Callable[[SloInput], Reason | None]

_BY_QUALITY: Final = {
    Quality.UNAVAILABLE: Reason.PROMETHEUS_UNAVAILABLE,
    Quality.LOW_COVERAGE: Reason.LOW_COVERAGE,
    Quality.INVALID: Reason.INVALID_DATA,
}


def measurement_failed(view: SloInput) -> Reason | None:
    """Object if the newest block couldn't be read: Prometheus unavailable, stale, or not back-filled yet."""
    return view.problem


def newest_block_is_unusable(view: SloInput) -> Reason | None:
    """Object if the newest block has too few scrapes, or invalid counts."""
    if view.series is None:
        return None
    return _BY_QUALITY.get(view.series.block(view.now).quality)


def nothing_is_counted(view: SloInput) -> Reason | None:
    """Object if the version has no series, or this SLO has no series or events, for longer than tolerated."""
    counts = view.series if view.version_has_series else None
    if counts is not None and counts.window(view.now, view.terms.recent).total > 0:
        return None
    never_counted = not (counts and counts.between(0, view.now).total)
    if view.terms.without_feedback and never_counted:
        return Reason.NO_FEEDBACK_KEY  # others may count truths in another way
    if never_counted and view.version_has_series and _are_overdue(view):
        return Reason.NO_LABELS
    if counts is None:  # blocks of stable's length are read from a promotion on
        return Reason.WARMING_UP if view.now <= view.warm_up_end else Reason.NO_DATA
    first = view.now - view.terms.recent
    was_counted = any(block.quality is Quality.COUNTED for block in counts.blocks(first, view.now))
    return Reason.NO_TRAFFIC if was_counted else Reason.NO_DATA


def _are_overdue(view: SloInput) -> bool:
    """Return whether labels of the version's requests should have arrived, and were read."""
    if view.series is None or view.series.block(view.now).quality is Quality.MISSING:
        return False  # the SLO was added a moment ago
    return view.terms.definition.from_truths and view.labels_due


def labels_are_due(
    terms: Terms, slo: SloTerms, series: Mapping[str, Series], *, since: int, now: int
) -> bool:
    """Return whether the version had requests at least a day ago, so that a label should have arrived.

    Where nothing counts its requests, the day alone decides.

    Parameters
    ----------
    series : blocks of the version by SLO. since, now : indexes of the last block that doesn't count, and of the
        newest one.
    """
    last = now - slo.calendar.blocks(LABEL_HOURS)
    names = [slo.name for slo in terms.slos if slo.definition.about_requests]
    rows = [series[name] for name in (*names, CLIENT_ERRORS) if name in series]
    if not rows:
        return last > since
    return any(row.between(since, last).total > 0 for row in rows)


def still_warming_up(view: SloInput) -> Reason | None:
    """Object until the new version has counted events and warm caches."""
    return Reason.WARMING_UP if view.now <= view.since else None


def labels_settle(view: SloInput) -> Reason | None:
    """Object while labels belong to an earlier share of the traffic."""
    return Reason.LABELS_SETTLING if view.now <= view.settles else None


GATES: Final[tuple[Gate, ...]] = (
    measurement_failed,
    newest_block_is_unusable,
    nothing_is_counted,
    labels_settle,
    still_warming_up,
)
"""In the order of decisions; a sixth, too few events, is each test's own."""


def data_problem(view: SloInput) -> Reason | None:
    """Return why the SLO is Unknown; None if it may be judged."""
    return next(filter(None, (gate(view) for gate in GATES)), None)


def evidence_since(terms: Terms, status: DataProductStatus, stable: Version, slo: SloTerms) -> int:
    """Return the last block that doesn't count: of the warm-up, of settling labels, of another indicator."""
    warm_up_end = warmed_up(stable.promotion_time, terms.block_seconds)
    restarted = status.engine.slo(slo.name).since
    return max(
        warm_up_end,
        ceil(restarted / terms.block_seconds),
        settling_block(terms, status, stable, slo),
    )


def settling_block(terms: Terms, status: DataProductStatus, stable: Version, slo: SloTerms) -> int:
    """Return the last block in which the labels of an SLO settle; 0 if none settle."""
    return ceil(settle_time(status, stable, slo) / terms.block_seconds)

"""Service levels of the page of a product: their present state, their days, and their lines over all ledgers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview
from sluicegate.api.slo_status import SloStatus
from sluicegate.reporting.evolution_lines import (
    PERCENT,
    EvolutionLine,
    conceal_marks,
    lines_of,
    with_present,
)
from sluicegate.reviews.periods import local_day
from sluicegate.views.initial import InitialDistance

HISTORY_DAYS: Final = 30
Day = tuple[str, int, int]
"""Date, bad events, all events."""


@dataclass(frozen=True, slots=True)
class SloRow:
    """One SLO: its state, its days in the ledgers, oldest first, and the distance from its first baseline."""

    status: SloStatus
    indicator: str
    days: tuple[Day, ...]
    outside: int
    initial: InitialDistance | None

    @property
    def objective(self) -> float | None:
        """Return the least share of good events; None without one."""
        return None if self.status.objective is None else float(self.status.objective)

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Return the share of good events of each day; None for a day without events."""
        return tuple(1 - bad_count / total if total else None for _, bad_count, total in self.days)

    @property
    def label(self) -> str:
        """Return the days in words."""
        return f"{len(self.days)} days, {self.outside} outside"


def slo_rows(
    product: DataProduct,
    initial_distances: Iterable[InitialDistance],
    ledgers: Iterable[DataProductReview],
) -> tuple[SloRow, ...]:
    """Return a row for each SLO of status, with the days of the ledgers."""
    history = _counts_by_day(ledgers)
    distances = {distance.slo: distance for distance in initial_distances}
    return tuple(
        _slo_row(slo, product, history, distances.get(slo.name)) for slo in product.status.slos
    )


def _slo_row(
    slo: SloStatus,
    product: DataProduct,
    history: dict[str, dict[str, tuple[int, int]]],
    initial_distance: InitialDistance | None,
) -> SloRow:
    days = sorted(history.get(slo.name, {}).items())[-HISTORY_DAYS:]
    objective = None if slo.objective is None else float(slo.objective)
    spec = next((slo_spec for slo_spec in product.spec.slos if slo_spec.name == slo.name), None)
    kind = next(iter(spec.indicator.model_dump(exclude_none=True)), "") if spec else ""
    days_outside = sum(
        objective is not None and total > 0 and 1 - bad_count / total < objective
        for _, (bad_count, total) in days
    )
    return SloRow(
        slo, kind, tuple((date, *counts) for date, counts in days), days_outside, initial_distance
    )


def _counts_by_day(ledgers: Iterable[DataProductReview]) -> dict[str, dict[str, tuple[int, int]]]:
    """Return days by SLO and date; of two ledgers with the same day, the later one counts."""
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for ledger in ledgers:
        for day in ledger.status.days:
            for slo in day.slos:
                counts.setdefault(slo.name, {})[day.date] = (slo.bad, slo.total)
    return counts


def product_lines(
    ledgers: Sequence[DataProductReview], product: DataProduct, conceal: Callable[[str], str]
) -> tuple[EvolutionLine, ...]:
    """Return the lines of the ledgers, each with the share of the last decision."""
    status_by_slo = {slo.name: slo for slo in product.status.slos}
    refresh_time = product.status.last_refresh_time
    lines = []
    for line in lines_of(ledgers):
        slo_status = status_by_slo.get(line.name)
        evolution = conceal_marks(line, conceal)
        if (
            slo_status is not None
            and slo_status.ratio is not None
            and refresh_time is not None
            and line.unit == PERCENT
        ):
            day = local_day(refresh_time, ledgers[-1].status.time_zone)
            evolution = with_present(evolution, day, float(slo_status.ratio), slo_status.total or 0)
        lines.append(evolution)
    return tuple(lines)

"""Changes of a product's API in a period: operations added, changed or removed, and deprecated. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sluicegate.api.api_changes import ApiChanges
from sluicegate.api.outcome import Outcome
from sluicegate.api.review import DataProductReview


@dataclass(frozen=True, slots=True)
class ApiRow:
    """The API changes of one version. `outcome` is that of its canary."""

    version: str
    time: int
    outcome: str
    changes: ApiChanges

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """Return the changes by kind, without empty kinds."""
        changes = self.changes
        kinds = {
            "added": changes.added,
            "changed or removed": changes.broken,
            "deprecated": changes.deprecated,
        }
        return {name: changes_of_kind for name, changes_of_kind in kinds.items() if changes_of_kind}

    @property
    def text(self) -> str:
        """Return the changes in words."""
        return "; ".join(f"{name}: {', '.join(changes)}" for name, changes in self.kinds.items())

    def document(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {"version": self.version, "outcome": self.outcome} | self.changes.to_dict()


def api_history(review: DataProductReview) -> tuple[ApiRow, ...]:
    """Return the versions that changed the API in the period, the oldest first."""
    return tuple(sorted(_rows(review), key=lambda row: row.time))


def _rows(review: DataProductReview) -> Iterator[ApiRow]:
    period = review.spec.period
    for version in review.status.versions:
        if version.api_changes and period.start <= version.promotion_time < period.end:
            outcome = str(Outcome.PROMOTED)
            yield ApiRow(version.version, version.promotion_time, outcome, version.api_changes)
    for candidate in review.status.candidates:
        if candidate.api_changes and candidate.outcome != Outcome.PROMOTED:
            yield ApiRow(
                candidate.version, candidate.end_time, candidate.outcome, candidate.api_changes
            )

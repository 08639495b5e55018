"""From the moments of a story to its summary, for people and as JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from demo.terminal import clock
from demo.watch import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from demo.answers import Counts
    from demo.terminal import Row

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must really have happened."""

    claim: str
    held: bool


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What visitors saw of one product: before the market moved, until the promotion, and after."""

    product: str
    before: Counts
    during: Counts
    after: Counts

    def shown(self) -> dict[str, Any]:
        """Return the report as JSON."""
        spans = {"before": self.before, "during": self.during, "after": self.after}
        return {
            name: {
                "right": counts.right,
                "judged": counts.judged,
                "accuracy": None if counts.accuracy is None else round(counts.accuracy, 4),
            }
            for name, counts in spans.items()
        }


@dataclass(frozen=True, slots=True)
class Level:
    """Accuracy of one product in the last seconds before a time, of enough predictions."""

    at: float
    product: str
    accuracy: float


@dataclass(frozen=True, slots=True)
class Requests:
    """All requests of all senders; `failures` by what went wrong."""

    sent: int = 0
    failed: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A story that has run, or its part until it ended.

    Attributes
    ----------
    moments : seconds since the products were applied, by stage, in order.
    levels : accuracies over the story, in order.
    reason : why it isn't the whole story; empty when it is.
    """

    moments: Mapping[str, float]
    accuracies: Sequence[Accuracy]
    requests: Requests
    checks: Sequence[Check]
    rows: Sequence[Row]
    levels: Sequence[Level] = ()
    reason: str = ""
    preparation_seconds: float = 0.0

    @property
    def failures(self) -> list[str]:
        """What keeps it from being the story that was promised."""
        missed = [f"not so: {check.claim}" for check in self.checks if not check.held]
        return [self.reason, *missed] if self.reason else missed

    @property
    def durations(self) -> dict[str, float]:
        """Seconds to detect, to retrain, to promote, and until accuracy was back."""
        spans = {
            "detect": ("shifted", "degraded"),
            "retrain": ("degraded", "proved"),
            "promote": ("proved", "promoted"),
            "recover": ("shifted", "recovered"),
            "story": ("served", "recovered"),
        }
        moments = {"applied": 0.0, **self.moments}
        return {
            name: round(moments[end] - moments[begin], 1)
            for name, (begin, end) in spans.items()
            if begin in moments and end in moments
        }

    def document(self) -> dict[str, Any]:
        """Return the content of demo-report.json."""
        return {
            "format": FORMAT,
            "passed": not self.failures,
            "failures": self.failures,
            "seconds": self.durations,
            "preparationSeconds": round(self.preparation_seconds, 1),
            "moments": {name: round(at, 1) for name, at in self.moments.items()},
            "accuracy": {one.product: one.shown() for one in self.accuracies},
            "requests": asdict(self.requests) | {"failures": dict(self.requests.failures)},
            "checks": [asdict(check) for check in self.checks],
            "timeline": [asdict(row) for row in self.rows],
            "levels": [
                {"at": round(one.at, 1), "product": one.product, "accuracy": round(one.accuracy, 4)}
                for one in self.levels
            ],
        }


def summary(report: Report) -> Iterator[str]:
    """Yield the lines that end a demonstration."""
    labels = {
        "detect": "time to detect",
        "retrain": "time to retrain",
        "promote": "time to promote",
        "recover": "from the shift to recovery",
        "story": "from serving to recovery",
    }
    meanings = {
        "detect": "from the market's shift until Degraded",
        "retrain": "from Degraded until the new version passed the hold-out",
        "promote": "from there through the canary until all traffic is with it",
    }
    durations = report.durations
    for name, label in labels.items():
        if name in durations:
            meaning = f"   {meanings[name]}" if name in meanings else ""
            yield f"  {label:<27} {clock(durations[name]):>6}{meaning}"
    for accuracy in report.accuracies:
        accuracies = ", ".join(
            f"{percent(counts.accuracy)} {name} (n={counts.judged:,})"
            for name, counts in (
                ("before", accuracy.before),
                ("during", accuracy.during),
                ("after", accuracy.after),
            )
        )
        yield f"  accuracy of {accuracy.product + ':':<15} {accuracies}"
    failures = ", ".join(f"{count} × {what}" for what, count in report.requests.failures.items())
    if any("UpstreamDegraded" in row.text for row in report.rows):
        yield "  the diagnosis of search-ranking was its upstream, not its own model (UpstreamDegraded)"
    yield f"  requests sent               {report.requests.sent:,}"
    yield f"  requests failed             {report.requests.failed}{f'   ({failures})' if failures else ''}"
    for check in report.checks:
        yield f"  {'✓' if check.held else '✗'} {check.claim}"

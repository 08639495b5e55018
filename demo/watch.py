"""From a DataProduct to what is new about it, in sentences. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SLO = "accuracy"
# Nothing is said of a cause while it can't be measured: the state says that.
UNMEASURED = frozenset(
    {"", "LowCoverage", "NoData", "PrometheusStale", "PrometheusUnavailable", "WarmingUp"}
)
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the operator decided last, with its numbers."""

    type: str
    reason: str
    message: str
    at: str


@dataclass(frozen=True, slots=True)
class Training:
    """A retraining: the running one, or how the last one ended."""

    trigger: str = ""
    cause: str = ""
    slo: str = ""
    job: str = ""
    waiting_for: str = ""
    attempts: int = 0
    outcome: str = ""
    message: str = ""
    version: str = ""
    evaluation: float | None = None
    stable_evaluation: float | None = None

    @property
    def gate(self) -> str:
        """What the hold-out said of the new version and of the old one."""
        if self.evaluation is None or self.stable_evaluation is None:
            return ""
        return (
            f"{percent(self.evaluation)} on the hold-out, stable {percent(self.stable_evaluation)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductState:
    """State of a product by its status; empty strings for missing values."""

    state: str = ""
    ready: bool = False
    problem: str = ""
    unknown: str = ""
    stable: str = ""
    baseline: float | None = None
    candidate: str = ""
    source: str = ""
    phase: str = ""
    weight: int = 0
    cause: str = ""
    cause_message: str = ""
    decision: Decision | None = None
    training: Training = Training()
    history: tuple[tuple[str, str, str], ...] = ()

    @property
    def rests(self) -> bool:
        """Whether neither a rollout nor a retraining is under way."""
        return not self.candidate and not self.training.trigger


def look(product: Object) -> ProductState:
    """Return the state of a DataProduct by its status."""
    status = product.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    stable, candidate = status.get("stable") or {}, status.get("candidate") or {}
    diagnosis = status.get("diagnosis") or {}
    return ProductState(
        state=status.get("state", ""),
        ready=ready.get("status") == "True",
        problem="" if ready.get("status") == "True" else ready.get("message", ""),
        unknown=_told(conditions.get("Degraded", {}), "Unknown"),
        stable=stable.get("version", ""),
        baseline=_accuracy((stable.get("baseline") or {}).get(SLO)),
        candidate=candidate.get("version", ""),
        source=candidate.get("source", ""),
        phase=candidate.get("phase", ""),
        weight=candidate.get("weight", 0),
        cause=diagnosis.get("cause", ""),
        cause_message=diagnosis.get("message", ""),
        decision=_decision(status.get("decision")),
        training=_training(status.get("retraining") or {}),
        history=tuple(
            (past["version"], past["outcome"], past.get("reason", ""))
            for past in status.get("history") or ()
        ),
    )


def news(before: ProductState, now: ProductState) -> Iterator[str]:
    """Yield a sentence for each change between two states, in the order of the loop."""
    if now.ready and not before.ready:
        yield f"{now.stable} serves all traffic"
    if now.decision and now.decision != before.decision:
        yield f"{now.decision.type} ({now.decision.reason}): {now.decision.message}"
    if _adds_information(before, now):
        yield f"diagnosis: {now.cause}: {now.cause_message}"
    yield from _training_news(before.training, now.training)
    yield from _rollout_news(before, now)
    if now.state != before.state and now.state in {"Healthy", "Unknown"} and before.state:
        yield f"state: {before.state} → {now.state}{f': {now.unknown}' if now.unknown else ''}"


def _adds_information(before: ProductState, now: ProductState) -> bool:
    """Return whether the diagnosis is new, and adds to the decision and the state."""
    decided = now.decision.reason if now.decision else ""
    if now.cause in {before.cause, decided} or now.state != "Degraded":
        return False
    return now.cause not in UNMEASURED and not (before.cause in UNMEASURED and before.cause)


def _training_news(before: Training, now: Training) -> Iterator[str]:
    if now.job and now.job != before.job:
        yield f"training Job {now.job} runs"
    if now.waiting_for and now.waiting_for != before.waiting_for:
        yield f"a retraining waits: {now.waiting_for}"
    if now.outcome != before.outcome and now.outcome in {"InProgress", "Failed", "Rejected"}:
        yield f"training ended with {now.version or now.outcome}: {now.gate or now.message}"


def _rollout_news(before: ProductState, now: ProductState) -> Iterator[str]:
    if now.candidate and now.candidate != before.candidate and now.stable:
        yield f"{now.candidate} starts beside {now.stable}"
    if now.candidate and now.weight != before.weight and now.stable:
        yield f"{now.candidate} takes {now.weight} % of the traffic"
    if before.stable and now.stable != before.stable:
        yield f"{now.stable} is stable; {before.stable} is kept for a rollback"
    if len(now.history) > len(before.history):
        version, outcome, reason = now.history[0]
        if outcome != "Replaced":
            yield f"{version} ended as {outcome} ({reason})"


def percent(share: float | None) -> str:
    """Return `91.8 %`; a dash for what isn't known."""
    return "–" if share is None else f"{100 * share:.1f} %"


def _told(condition: Mapping[str, str], status: str) -> str:
    """Return reason and message (of the first SLO) of a condition that has this status."""
    if condition.get("status") != status:
        return ""
    return f"{condition['reason']}: {condition.get('message', '').partition(';')[0]}"


def _decision(document: Mapping[str, str] | None) -> Decision | None:
    if not document:
        return None
    return Decision(
        document["type"], document["reason"], document.get("message", ""), document["decisionTime"]
    )


def _training(document: Mapping[str, Any]) -> Training:
    trigger, last = document.get("trigger") or {}, document.get("lastResult") or {}
    return Training(
        trigger=trigger.get("id", ""),
        cause=trigger.get("cause", ""),
        slo=trigger.get("slo", ""),
        job=document.get("job", ""),
        waiting_for=document.get("waitingFor", ""),
        attempts=document.get("unsuccessfulAttempts", 0),
        outcome=last.get("outcome", ""),
        message=last.get("message", ""),
        version=last.get("version", ""),
        evaluation=_accuracy((last.get("evaluation") or {}).get(SLO)),
        stable_evaluation=_accuracy((last.get("stableEvaluation") or {}).get(SLO)),
    )


def _accuracy(counts: Mapping[str, int] | None) -> float | None:
    return 1 - counts["bad"] / counts["total"] if counts and counts.get("total") else None

"""A product whose status has one transition after another, as an operator writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sluicegate.api.names import ConditionReason, ConditionType, DecisionType
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import AttemptResult, RetrainingStatus, Trigger
from sluicegate.api.status import Condition, DataProductStatus, DecisionStatus
from sluicegate.api.versions import (
    Candidate,
    CandidateHold,
    CandidatePhase,
    PastVersion,
    Release,
    Share,
    Version,
    VersionSource,
)
from sluicegate.conditions import find_condition
from sluicegate.notify.catalogue import Kind

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from sluicegate.conditions import Truth

RUNTIME: Final = f"registry.example/runtime@sha256:{'d' * 64}"


class ChangingProduct:
    """Each step changes the status so that one transition follows; `now` in seconds since 1970."""

    def __init__(self, now: int) -> None:
        self.now = now
        self._numbers = 0
        first = self._release()
        self.status = DataProductStatus(
            stable=Version.of(first, VersionSource.SPEC, promotion_time=now)
        )
        for kind, truth, reason in (
            (ConditionType.READY, "True", ConditionReason.SERVING),
            (ConditionType.DEGRADED, "False", ConditionReason.NOT_DEGRADED),
            (ConditionType.METRICS_AVAILABLE, "True", ConditionReason.MEASURED),
            (ConditionType.DEPENDENCIES_HEALTHY, "True", ConditionReason.ALL_HEALTHY),
            (ConditionType.RETRAINING_ACTIVE, "False", ConditionReason.IDLE),
            (ConditionType.ROLLOUT_PROGRESSING, "False", ConditionReason.NO_ROLLOUT),
        ):
            self._condition(kind, truth, reason)

    def body(self) -> dict[str, Any]:
        """Return the status as the API server has it."""
        return self.status.to_dict()

    # ---- steps --------------------------------------------------------------------------------
    def degrade(self, reason: str = "ModelDecay", message: str = "accuracy is 0.81") -> Kind:
        self._condition(ConditionType.DEGRADED, "True", reason, message)
        return Kind.DEGRADED

    def recover(self) -> Kind:
        self._condition(ConditionType.DEGRADED, "False", ConditionReason.NOT_DEGRADED)
        return Kind.RECOVERED

    def lose_metrics(self, reason: str = "PrometheusUnavailable") -> Kind:
        self._condition(ConditionType.METRICS_AVAILABLE, "False", reason)
        self._condition(ConditionType.DEGRADED, "Unknown", reason)
        return Kind.METRICS_LOST

    def find_metrics(self, *, degraded: bool = False) -> Kind:
        self._condition(ConditionType.METRICS_AVAILABLE, "True", ConditionReason.MEASURED)
        self._condition(ConditionType.DEGRADED, "True" if degraded else "False", "Measured")
        return Kind.METRICS_RESTORED

    def stall(self, reason: str = ConditionReason.INVALID_SPEC) -> Kind:
        self._condition(ConditionType.STALLED, "True", reason, "spec.slos[0] is wrong")
        return Kind.STALLED

    def unstall(self) -> Kind:
        kept = tuple(
            condition
            for condition in self.status.conditions
            if condition.type != ConditionType.STALLED
        )
        self.status = self.status.replace(conditions=kept)
        self._condition(ConditionType.READY, "True", ConditionReason.SERVING)
        return Kind.UNSTALLED

    def start(self) -> Kind:
        candidate = Candidate.of(
            self._release(), VersionSource.SPEC, phase=CandidatePhase.STEPPING,
            start_time=self.now, weight=5,
            shares=(Share(weight=5, start_time=self.now),),
        )  # fmt: skip
        self.status = self.status.replace(candidate=candidate)
        self._condition(ConditionType.ROLLOUT_PROGRESSING, "True", ConditionReason.STEPPING)
        return Kind.ROLLOUT_STARTED

    def advance(self, weight: int = 25) -> Kind:
        assert self.status.candidate
        shares = (*self.status.candidate.shares, Share(weight=weight, start_time=self.now))
        self.status = self.status.with_candidate(weight=weight, shares=shares)
        return Kind.ROLLOUT_ADVANCED

    def ask(self) -> Kind:
        self.status = self.status.with_candidate(
            phase=CandidatePhase.AWAITING_APPROVAL,
            hold=CandidateHold(check=ConditionReason.AWAITING_APPROVAL, start_time=self.now),
        )
        self._condition(
            ConditionType.ROLLOUT_PROGRESSING, "True", ConditionReason.AWAITING_APPROVAL
        )
        return Kind.APPROVAL_REQUESTED

    def promote(self) -> Kind:
        candidate, stable = self.status.candidate, self.status.stable
        assert candidate
        assert stable
        past = PastVersion(
            **stable.identity_fields, outcome=Outcome.REPLACED, end_time=self.now,
            promotion_time=stable.promotion_time,
        )  # fmt: skip
        self.status = self.status.replace(
            stable=Version(**candidate.identity_fields, promotion_time=self.now),
            candidate=None,
            history=(past, *self.status.history)[:10],
            decision=self._decision(DecisionType.PROMOTE, "CanaryNotWorse"),
        )
        self._condition(ConditionType.ROLLOUT_PROGRESSING, "False", ConditionReason.ON_PROBATION)
        return Kind.PROMOTED

    def end(self, outcome: Outcome = Outcome.ROLLED_BACK) -> Kind:
        candidate = self.status.candidate
        assert candidate
        past = PastVersion(
            **candidate.identity_fields, outcome=outcome, reason="CanaryWorse", end_time=self.now
        )
        kind = (
            DecisionType.ROLLBACK if outcome is Outcome.ROLLED_BACK else DecisionType.INCONCLUSIVE
        )
        self.status = self.status.replace(
            candidate=None, history=(past, *self.status.history)[:10],
            decision=self._decision(kind, "CanaryWorse"),
        )  # fmt: skip
        self._condition(ConditionType.ROLLOUT_PROGRESSING, "False", ConditionReason.NO_ROLLOUT)
        return {
            Outcome.ROLLED_BACK: Kind.ROLLED_BACK,
            Outcome.INCONCLUSIVE: Kind.ROLLOUT_INCONCLUSIVE,
        }[outcome]

    def train(self) -> Kind:
        assert self.status.stable
        trigger = Trigger(
            id=f"{self.now % 16**8:08x}", cause="ModelDecay", version=self.status.stable.version,
            message="accuracy dropped", trigger_time=self.now,
        )  # fmt: skip
        before = self.status.retraining or RetrainingStatus()
        self.status = self.status.replace(
            retraining=before.replace(
                trigger=trigger, attempt=before.attempt + 1,
                started_attempts=before.started_attempts + 1, start_time=self.now,
            )
        )  # fmt: skip
        self._condition(ConditionType.RETRAINING_ACTIVE, "True", ConditionReason.TRAINING)
        return Kind.RETRAINING_STARTED

    def train_out(self, outcome: Outcome = Outcome.FAILED) -> Kind:
        assert self.status.retraining
        result = AttemptResult(
            outcome=outcome, reason="JobFailed", message="Traceback: no data",
            completion_time=self.now, version="v2-trained",
        )  # fmt: skip
        self.status = self.status.replace(
            retraining=self.status.retraining.replace(
                trigger=None, last_result=result, start_time=None
            )
        )
        self._condition(ConditionType.RETRAINING_ACTIVE, "False", ConditionReason.IDLE)
        return {
            Outcome.FAILED: Kind.RETRAINING_FAILED,
            Outcome.REJECTED: Kind.RETRAINING_REJECTED,
            Outcome.IN_PROGRESS: Kind.RETRAINING_FINISHED,
        }[outcome]

    # ---- any step -----------------------------------------------------------------------------
    def possible(self) -> list[Callable[[], Kind]]:
        """Return the steps that may follow."""
        status = self.status
        measured = self._is(ConditionType.METRICS_AVAILABLE)
        degraded = self._is(ConditionType.DEGRADED)
        steps: list[Callable[[], Kind]] = [
            self.unstall if self._is(ConditionType.STALLED) else self.stall
        ]
        if measured:
            steps.append(self.recover if degraded else self.degrade)
            if not degraded:
                steps.append(self.lose_metrics)
        else:
            steps.append(self.find_metrics)
        if status.candidate is None:
            steps.append(self.start)
        else:
            waits = status.candidate.phase is CandidatePhase.AWAITING_APPROVAL
            steps += [self.promote, self.end] if waits else [self.ask, self.end]
            if not waits and status.candidate.weight < 50:
                steps.append(lambda: self.advance(status.candidate.weight + 10))
        running = status.retraining is not None and status.retraining.trigger is not None
        steps.append(self.train_out if running else self.train)
        return steps

    def step(self, dice: random.Random, now: int) -> Kind:
        """Perform one of the possible steps, later than the last."""
        assert now > self.now
        self.now = now
        return dice.choice(self.possible())()

    def _is(self, kind: ConditionType) -> bool:
        condition = find_condition(self.status.conditions, kind)
        return condition is not None and condition.status == "True"

    def _release(self) -> Release:
        self._numbers += 1
        digest = f"{self._numbers:064x}"
        image = f"registry.example/bentos/search@sha256:{digest}"
        return Release(f"v{self._numbers}", image, RUNTIME, "Search")

    def _decision(self, kind: DecisionType, reason: str) -> DecisionStatus:
        text = "32 bad of 4,000, stable 30 of 4,000"
        return DecisionStatus(type=kind, reason=reason, message=text, decision_time=self.now)

    def _condition(self, kind: ConditionType, truth: Truth, reason: str, message: str = "") -> None:
        before = find_condition(self.status.conditions, kind)
        is_same = before is not None and before.status == truth
        after = Condition(
            type=kind, status=truth, reason=reason, message=message,
            last_transition_time=before.last_transition_time if is_same else self.now,
        )  # fmt: skip
        others = (condition for condition in self.status.conditions if condition.type != kind)
        self.status = self.status.replace(conditions=(*others, after))

"""Situations of a product, drawn by a seed: what it is judged by, what is remembered, what is read.

Times and counts are drawn from those at which a rule changes its mind, and from ones beside them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, TypeVar

from sluicegate.api import names
from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.engine import EngineState, OriginalBaseline, SloRecord, Streak, TimeInterval
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import (
    Candidate,
    CandidatePhase,
    PastVersion,
    Probation,
    Release,
    Share,
    Version,
    VersionSource,
)
from sluicegate.policy.diagnosis.remedy import trigger_for
from sluicegate.policy.model.decision import alert_key
from sluicegate.policy.model.observed import (
    CanaryBlock,
    Facts,
    Failure,
    ManualRequest,
    Observed,
    Portfolio,
    RolloutObservation,
    TrainingFailed,
    TrainingResult,
    TrainingSucceeded,
)
from sluicegate.slo.blocks import Block, BlockValue, Quality, Series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.means import Means
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.paired import Pairs
from tests.support.decisions.judged import BLOCK, CANARY, V1, V2, V3, judged_by

if TYPE_CHECKING:
    from sluicegate.policy.model.terms import SloTerms, Terms

T = TypeVar("T")
DAY = 86_400
V4 = Release("v4", "registry.example/search@sha256:v4")
OLD = Release("v0", "registry.example/search@sha256:v0")
RENEWED = Release("v1", "registry.example/search@sha256:v1", "registry.example/runtime:2")
NEWEST = 12_000
ALERTS = (
    Reason.API_CHANGED,
    Reason.AWAITING_APPROVAL,
    Reason.INSUFFICIENT_DATA,
    Reason.MODEL_DECAY,
    Reason.PROMETHEUS_STALE,
    Reason.RETURN_REFUSED,
)
PER_BLOCK = {"availability": 1200, "latency": 1200, "accuracy": 100}
BAD = {"availability": (0.015, 0.05), "latency": (0.08, 0.3), "accuracy": (0.15, 0.25, 0.4)}
USUAL = {"availability": 0.001, "latency": 0.02, "accuracy": 0.1}


@dataclass(frozen=True, slots=True)
class Situation:
    """All that an evaluation is given; `now` is in seconds."""

    terms: Terms
    status: DataProductStatus
    observed: Observed
    now: int


class _Drawn:
    """One situation; each part is drawn once, and later parts fit the earlier ones."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)
        self._mood = self._one("troubled", "troubled", "trying", "trying", "any")
        self.block = NEWEST + self._one(0, 1, 5, 11)
        self.now = self.block * BLOCK + self._one(0, 0, 17)
        self.terms = self._terms()
        young = self._one(2, 3, 13) if self._mood == "any" else 38
        self.age = self._one(young, 14, 15, 60, 60, 100, 287, 288)
        self.since = (self.block - self.age) * BLOCK

    def _one(self, *options: T) -> T:
        return self._source.choice(options)

    def _often(self) -> bool:
        return self._source.random() < 0.6

    def _seldom(self) -> bool:
        return self._source.random() < 0.15

    def _plain(self, mood: str = "") -> bool:
        """Whether a part has nothing to say, so that another one is heard."""
        return self._mood not in {"any", mood} and self._source.random() < 0.85

    # ---- what it is judged by -----------------------------------------------------------
    def _terms(self) -> Terms:
        one = self._one
        wish = {"onDegraded": one("Auto", "Auto", "Retrain", "Rollback", "Alert", "Ignore")}
        evidence = {
            "canaryEvidence": one("IfAvailable", "IfAvailable", "Required", "PostPromotion")
        }
        gauge = {"metric": "mean_basket_value", **one({}, {"bound": "80"})}
        if self._seldom():
            gauge |= {"direction": "LowerIsBetter", "bound": "120"}
        slos = [
            {"name": "availability", "indicator": {"availability": {}}, "objective": "0.99"},
            {
                "name": "latency",
                "indicator": {"latency": {"thresholdMilliseconds": 250}},
                "objective": one("0.95", "0.9"),
                **wish,
            },
            {
                "name": "accuracy",
                "indicator": {"outcomes": {}},
                **one({"objective": "0.80"}, {}),
                "maxDrop": "0.03",
                "seasonality": one("Auto", "Weekly"),
                **wish,
                **evidence,
            },
            {"name": "basket", "indicator": {"gauge": gauge}, "maxDrop": "4", **wish, **evidence},
        ]
        kept = [slo for slo in slos if self._often()] or slos[2:]
        rollout: dict[str, Any] = {"approval": one("Automatic", "Automatic", "Manual")}
        rollout |= one({}, {"steps": [50]}, {"steps": [5, 50]})
        rollout |= one({}, {"maxDurationSeconds": 7200})
        if any(slo["name"] == "accuracy" for slo in kept) and self._seldom():
            ways: list[dict[str, Any]] = [{"command": ["score"]}, {"mirror": {"percent": 50}}]
            shadow = one(*ways)
            rollout |= {"shadow": {"intervalSeconds": 3600, **shadow}}
        retraining = {
            "mode": one("Automatic", "Automatic", "Automatic", "Manual", "Disabled"),
            "command": ["train"],
            "output": "registry.example/search",
            **one({}, {"cooldownSeconds": 3600}),
            **one({}, {}, {"schedule": one({"everySeconds": DAY}, {"everyLabels": 30_000})}),
        }
        return judged_by(
            *kept,
            rollout=rollout,
            retraining=None if self._seldom() else retraining,
            lifecycle="Deprecated" if self._source.random() < 0.05 else None,
            suspend=self._source.random() < 0.05,
        )

    # ---- what is remembered ---------------------------------------------------------------
    def _baseline(self, slo: SloTerms) -> Baseline:
        if slo.gauge is not None:
            more = {"mean": 100.0, "deviation": self._one(0.0, 2.0, 2.0), "daily": self._seldom()}
            count = NOTHING
        else:
            total = self._one(50, 400, 2000, 20_000)
            count, more = Count(round(total * USUAL[slo.name]), total), {"phi": self._one(1.0, 2.0)}
        begin = self.since
        end = begin + self._one(0, 12, self.age // 2) * BLOCK
        source = BaselineSource.EVALUATION if begin == end else BaselineSource.PRODUCTION
        kind = "another" if self._seldom() else slo.indicator_hash
        return Baseline.of(count, begin, end, source, indicator_hash=kind, **more)

    def _baselines(self) -> dict[str, Baseline]:
        return {slo.name: self._baseline(slo) for slo in self.terms.slos if self._often()}

    def _record(self, slo: SloTerms) -> SloRecord:
        evaluations = self._one(1, 2, 2, 3, 12)
        last = self.block - self._one(0, 1, 1)
        first = last - evaluations + 1
        streak = Streak(
            first=first,
            last=last,
            evaluations=evaluations,
            fresh=max(evaluations - self._one(0, 0, 1), 0),
        )
        calm = self._one(1, 10, 11, 11)
        degraded = self._often()
        disturbed = self._seldom()
        hidden = TimeInterval(
            begin=(self.block - 36) // 12 * 12 * BLOCK, end=(self.block - self._one(3, 20)) * BLOCK
        )
        return SloRecord(
            streak=self._one(None, streak, streak),
            degraded=degraded or self._mood == "troubled",
            recovery_streak=Streak(first=last - calm + 1, last=last, evaluations=calm, fresh=calm)
            if degraded and self._often()
            else None,
            steady_start_time=None if degraded else self.since,
            since=self.since + self._one(0, 0, 0, 6) * BLOCK,
            disturbance_start_time=(self.block - 5) * BLOCK if disturbed else None,
            ignored_intervals=(hidden,) if self._seldom() else (),
            terms_hash=self._one(*[slo.hash] * 12, "other", ""),
        )

    def _past(self) -> tuple[PastVersion, ...]:
        found = []
        for number, release in enumerate((V3, OLD)[: self._one(0, 1, 2)]):
            name = self.terms.slos[-1].name
            worse = {name: Count(*self._one((300, 1000), (50, 1000)))} if self._seldom() else {}
            found.append(
                PastVersion.of(
                    release,
                    VersionSource.SPEC,
                    outcome=self._one(Outcome.REPLACED, Outcome.REPLACED, Outcome.ROLLED_BACK),
                    promotion_time=self.since - (number + 1) * DAY,
                    end_time=self.since - number * DAY,
                    baseline=self._baselines(),
                    record={} if name == "basket" else worse,
                    degraded=(name,) if self._seldom() else (),
                )
            )
        return tuple(found)

    def _candidate(self) -> Candidate | None:
        if self._plain("trying") or (self._mood == "any" and self._often()):
            return None
        phase = self._one(
            CandidatePhase.STARTING,
            *[CandidatePhase.STEPPING] * 9,
            CandidatePhase.PARKED,
            CandidatePhase.PROMOTING,
            CandidatePhase.ROLLING_BACK,
        )
        start = self.now // BLOCK * BLOCK - self._one(600, 3600, 7200, 14_400)
        steps = self.terms.steps
        taken = steps[: self._one(1, len(steps), len(steps))]
        shares = tuple(
            Share(weight=weight, start_time=start + place * self._one(300, 420))
            for place, weight in enumerate(taken)
        )
        weight = {CandidatePhase.STEPPING: taken[-1], CandidatePhase.PROMOTING: 100}.get(phase, 0)
        tried = phase is not CandidatePhase.STARTING
        return Candidate.of(
            V2,
            self._one(VersionSource.SPEC, VersionSource.RETRAINING),
            phase=phase,
            weight=weight,
            shares=shares if tried else (),
            start_time=start,
            evaluation={"accuracy": Count(100, 1000)} if self._seldom() else {},
            pairs={"accuracy": Pairs(840, self._one(60, 85), 40, 60)} if self._seldom() else {},
            trigger="0123abcd" if self._often() else "",
            restoring=phase is CandidatePhase.PROMOTING and self._seldom(),
            suspended_seconds=self._one(0, 0, 600),
            decision_reason=str(Reason.CANARY_NOT_WORSE),
            decision_message="v2 has passed",
            retry_time=self.now + self._one(-1, 0, 1)
            if phase is CandidatePhase.PARKED and self._often()
            else None,
            retries=self._one(0, 1, 2, 6),
        )

    def _trained(self) -> RetrainingStatus | None:
        if self._seldom():
            return None
        cause = self._one(Reason.MODEL_DECAY, Reason.SCHEDULED)
        trigger = Trigger(
            id="0123abcd",
            cause=str(cause),
            slo="accuracy" if cause is Reason.MODEL_DECAY else "",
            version="v1",
            trigger_time=self.now - 1200,
        )
        return RetrainingStatus(
            trigger=trigger if self._one(True, False, False) else None,
            attempt=1,
            started_attempts=self._one(0, 4),
            unsuccessful_attempts=self._one(0, 0, 1, 2, 3),
            next_allowed_time=self._one(
                None, self.now - 1, self.now, self.now + 1, self.now + 3000
            ),
            last_training_time=self._one(None, self.now - DAY, self.now - DAY // 2),
            last_duration_seconds=self._one(None, 600, 3000),
            last_reason=str(self._one(Reason.JOB_FAILED, Reason.WORSE_ON_HOLD_OUT)),
        )

    def _status(self) -> DataProductStatus:
        candidate, history = self._candidate(), self._past()
        model = self._one(V1, V1, V2, V4)
        source = self._one(VersionSource.SPEC, VersionSource.RETRAINING)
        stable = Version.of(
            V1,
            source,
            promotion_time=self.since,
            baseline=self._baselines(),
            restored=self._seldom(),
        )
        probation = None
        if history and self._one(True, False):
            probation = Probation(
                version="v1",
                against=history[0].version,
                start_time=self.since,
                shown_better=self._one((), ("accuracy",)),
            )
        held = {**self._baselines(), CLIENT_ERRORS: self._errors()} if probation else {}
        original = OriginalBaseline(version="v0", slos=self._baselines())
        lost = self.now - self._one(299, 300, 1799, 1800)
        status = DataProductStatus(
            stable=stable,
            candidate=candidate,
            history=history,
            probation=probation,
            spec_model=None
            if self._seldom()
            else SpecModel.of(model, self._one(Outcome.PROMOTED, Outcome.IN_PROGRESS), self.since),
            retraining=self._trained(),
            engine=EngineState(
                slos={slo.name: self._record(slo) for slo in self.terms.slos if not self._seldom()},
                outage_start_time=lost if self._seldom() else None,
                original_baseline=original if original.slos and self._often() else None,
                probation_baselines=held,
                correlation={"accuracy": 0.001} if candidate and self._often() else {},
            ),
        )
        return status.with_engine(emitted_alerts=self._alerts(status))

    def _errors(self) -> Baseline:
        return Baseline.of(Count(20, 2000), self.since - DAY, self.since, BaselineSource.PRODUCTION)

    def _alerts(self, status: DataProductStatus) -> tuple[str, ...]:
        needs = [trigger_for(self.terms, status, slo.name) for slo in self.terms.slos]
        keys = [
            alert_key(reason, about)
            for about in (*needs, "v2", "v4", "measurements")
            for reason in ALERTS
            if self._often()
        ]
        return tuple(keys) if self._one(True, False, False) else ()

    # ---- what is read -----------------------------------------------------------------------
    def _count(self, slo: str, rate: float, share: float) -> Count:
        total = round(PER_BLOCK.get(slo, 1200) * share)
        spread = sqrt(total * rate * (1 - rate))
        return Count(min(max(round(self._source.gauss(total * rate, spread)), 0), total), total)

    def _series(self, slo: str, share: float) -> Series:
        usual = USUAL.get(slo, 0.01)
        late = usual * self._one(1, 1, 1.2, 2, 5)
        begun = self.block - self._one(1, 3, 6, 20, 60)
        few = self._one(1.0, 1.0, 0.1, 0.02)
        silent = self.block - self._one(0, 0, 0, 2, 30)
        if self._mood == "troubled":
            late, silent = self._one(usual, *BAD.get(slo, (0.02, 0.05))), self.block
            begun, few = self.block - self._one(6, 20, 60), self._one(1.0, 1.0, 0.2)
        series = Series()
        for index in range(self.block - max(self.age, 40), self.block + 1):
            rate = late if index > begun else usual
            count = NOTHING if index > silent else self._count(slo, rate, share * few)
            series.record(Block(index, Quality.COUNTED, count))
        if not self._plain() and self._seldom():
            quality = self._one(Quality.LOW_COVERAGE, Quality.INVALID, Quality.NO_SERIES)
            series.record(Block(self.block, quality))
        return series

    def _means(self) -> Means:
        least = 0.0 if self._mood != "troubled" else 6.0
        fallen = self._one(least, least, 1.0, 6.0, 25.0) * self._one(1, 1, 1, -1)
        begun = self.block - self._one(3, 20, 60)
        gone = self.block - (0 if self._plain() else self._one(0, 0, 1, 3))
        return Means(
            (index, 100 + self._source.gauss(0, 2) - (fallen if index > begun else 0))
            for index in range(self.block - max(self.age, 40), gone + 1)
        )

    def _blocks(self, candidate: Candidate | None) -> tuple[CanaryBlock, ...]:
        if candidate is None or not candidate.shares:
            return ()
        share = (candidate.weight or 50) / 100
        slos = [one.name for one in self.terms.slos if one.gauge is None]
        slos += [CLIENT_ERRORS] if self._one(True, False) else []
        worse = {name: USUAL.get(name, 0.01) * self._one(0.5, 1, 1, 1, 1.3, 3) for name in slos}
        few = {name: self._one(1.0, 1.0, 1.0, 1.0, 0.02) for name in slos}
        begun = candidate.shares[0].start_time
        fall = self._one(-3.0, 0.0, 0.0, 3.0)
        broken = None if self._plain() else self._one(None, None, None, *Quality)
        wrong = not self._plain() and self._seldom()
        found = []
        for end in range(begun - 1800, self.block * BLOCK + 1, CANARY):
            taken = end > begun

            def arm(part: float, rates: dict[str, float]) -> dict[str, BlockValue]:
                return {
                    name: BlockValue(
                        Quality.COUNTED, self._count(name, rates[name], part * few[name] / 5)
                    )
                    for name in slos
                }

            stable = arm(1 - share if taken else 1, {one: USUAL.get(one, 0.01) for one in slos})
            ours = arm(share * (3 if wrong else 1), worse) if taken else {}
            quality = Quality.COUNTED
            if broken is not None and end > self.block * BLOCK - 11 * CANARY:
                if broken in {Quality.NO_SERIES, Quality.INVALID}:
                    ours = {name: BlockValue(broken) for name in slos}
                else:
                    quality = broken
            base = self._source.gauss(100, 5)
            pair = (base + fall + self._source.gauss(0, 1), base)
            gauges = {"basket": pair} if taken else {}
            sent = (round(100 * share), round(100 * (1 - share))) if taken and wrong else None
            found.append(CanaryBlock(end, quality, stable, ours, gauges=gauges, sent=sent))
        return tuple(found)

    def _facts(self) -> Facts:
        seldom = self._seldom
        if self._often():
            return Facts(cpu_throttled=False, memory_pressure=False)
        return Facts(
            upstream_degraded=("pricing",) if seldom() else (),
            upstream_since=self.now - 1500 if seldom() else None,
            pods_unhealthy=seldom(),
            stable_down=seldom() and seldom(),
            canary_unhealthy=seldom(),
            canary_lost="its node is gone" if seldom() else "",
            node_busy=seldom(),
            canary_node_busy=seldom(),
            cpu_throttled=self._one(None, False, False, True),
            memory_pressure=self._one(None, False, False, True),
            pods=self._one(0.0, 0.25, 1.0, 1.0),
            split_verified=not seldom(),
            api_changes=self._one(None, (), ("POST /rank is removed",)),
        )

    def _portfolio(self) -> Portfolio:
        return self._one(
            Portfolio(),
            Portfolio(),
            Portfolio(),
            Portfolio(10, 3, 0, 0, 0.0),
            Portfolio(10, 2, 0, 0, 0.0),
            Portfolio(4, 2, 3, 1, 0.1, {"outcomes": 0.3}),
            Portfolio(4, 1, 3, 0, 0.0, {"outcomes": 0.4}),
            Portfolio(slot=False),
            Portfolio(renewing=self._one(4, 5)),
        )

    def _result(self) -> TrainingResult | None:
        if self._plain() or self._often():
            return None
        trigger = self._one("0123abcd", "0123abcd", "other", "")
        if self._seldom():
            return TrainingFailed(trigger, Reason.JOB_FAILED, "out of memory")
        bad = self._one(50, 100, 108, 150)
        pairs = self._one({}, {"accuracy": Pairs(800, 100 - bad // 2, bad // 2, 50)})
        return TrainingSucceeded(
            trigger,
            self._one(V1, V1, V1, V3),
            self._one(V4, V4, Release("v3", "registry.example/search@sha256:v9")),
            {"accuracy": self._one(Count(bad, 1000), Count(10 * bad, 10_000), Count(1, 10))},
            {"accuracy": Count(100, 1000)},
            pairs,
            self.now - DAY,
        )

    def _requests(self) -> tuple[ManualRequest, ...]:
        if self._plain("trying") or self._often():
            return ()
        annotation = self._one(
            names.REQUEST_ABORT,
            names.REQUEST_PROMOTE,
            names.REQUEST_PROMOTE,
            names.REQUEST_RETRAIN,
            names.REQUEST_ROLLBACK,
        )
        return (ManualRequest(annotation, self._one("", "v2/", "v3/", "v4/", "v0/") + "token"),)

    def _rollout(self) -> RolloutObservation:
        one = self._one
        if self._plain():
            return RolloutObservation()
        problem = one(None, Failure(Reason.IMAGE_NOT_FOUND, "there is no such image"))
        cause = one(None, problem, Failure(Reason.INFRASTRUCTURE, "no node has room"))
        return RolloutObservation(
            moves=self._seldom(),
            frozen=self._seldom(),
            wants_share=self._often(),
            waited=one(0, 600, 601),
            problem=problem,
            unrecoverable=problem is not None and self._often(),
            attribution=cause,
            serves=self._often(),
            stable_serves=self._often(),
            given_since=one(0, 600, 601),
            not_followed=one("", "v2 has 3 % of the requests"),
            committed=self._seldom(),
        )

    def situation(self) -> Situation:
        """The whole."""
        status = self._status()
        slos = [*(one.name for one in self.terms.slos if one.gauge is None), CLIENT_ERRORS]
        problem = (
            None
            if self._plain()
            else self._one(*[None] * 6, Reason.PROMETHEUS_STALE, Reason.BACKFILLING)
        )
        observed = Observed(
            block=self.block,
            problem=problem,
            problems={"accuracy": Reason.UNREADABLE_SERIES}
            if not self._plain() and self._seldom()
            else {},
            series={
                "v1": {
                    name: self._series(name, 1)
                    for name in slos
                    if self._plain() or not self._seldom()
                }
            },
            gauges={"v1": {"basket": self._means()}},
            canary_blocks=self._blocks(status.trial),
            canary_block_seconds=CANARY,
            wanted=V1 if self._plain() or self._often() else self._one(V2, V2, V4, RENEWED),
            wanted_evaluation=self._one({}, {"accuracy": Count(90, 1000)}),
            training=self._result(),
            facts=self._facts(),
            rollout=self._rollout() if status.candidate is not None else None,
            portfolio=self._portfolio(),
            requests=self._requests(),
        )
        return Situation(self.terms, status, observed, self.now)


def situation(seed: int) -> Situation:
    """The situation of this seed."""
    return _Drawn(seed).situation()

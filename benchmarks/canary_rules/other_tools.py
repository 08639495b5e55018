"""Rules of other tools: short re-implementations of their published descriptions.

They aren't those programs. Each has the settings of its own documentation, and thresholds derived
from stable's true ratio: half a margin above it. Sources, read 2026:

- Flagger: fluxcd/flagger, docs/gitbook/usage/how-it-works.md (interval 1m, threshold 10,
  maxWeight 50, stepWeight 5) and pkg/controller/scheduler.go (failed checks add up over the whole
  canary and are checked in the next interval; no values is a failed check).
- Argo Rollouts: argoproj/argo-rollouts, docs/features/analysis.md (background analysis, interval
  5m, failureLimit 3, steps 20/40/60/80 with 10 minutes each) and analysis/analysis.go
  (consecutiveErrorLimit 4; more failures than the limit abort).
- Kayenta: spinnaker/kayenta, kayenta-judge NetflixACAJudge and MannWhitneyClassifier (confidence
  .98, tolerance .25 of the Hodges-Lehmann estimate, direction increase), one hour of 1-minute
  points, canary and a baseline of equal size, pass at a score of 95, marginal from 75.
"""

from collections import deque
from typing import Final

import numpy as np

from benchmarks.canary_rules.mann_whitney import is_high
from sluicegate.simulation.scenario import Scenario, SimulatedVerdict
from sluicegate.simulation.traffic import Bools, Floats, Ints, SimulatedArms
from sluicegate.simulation.vectorized_canary import verdicts_of

FLAGGER_THRESHOLD, FLAGGER_STEP, FLAGGER_MOST = 10, 5, 50
ARGO_SHARES: Final = (0.2, 0.4, 0.6, 0.8)
ARGO_STEP_MINUTES, ARGO_INTERVAL_MINUTES = 10, 5
ARGO_FAILURES, ARGO_ERRORS = 3, 4
KAYENTA_SHARE, KAYENTA_MINUTES = 0.25, 60
KAYENTA_PASS, KAYENTA_MARGINAL = 0.95, 0.75


def _thresholds(scenario: Scenario) -> Floats:
    return np.array([s.stable_bad + s.margin / 2 for s in scenario.streams])[:, None]


class FlaggerLike:
    """A check against a threshold each minute; too many failures roll back."""

    def __init__(self, scenario: Scenario, runs: int) -> None:
        self._limit = _thresholds(scenario)
        self._failed, self._weight = np.zeros(runs, np.int64), np.full(runs, FLAGGER_STEP)
        self.share = self._weight / 100

    def observe(self, arms: SimulatedArms, live: Ints) -> Ints:
        """Evaluate one interval of a minute."""
        back = self._failed[live] >= FLAGGER_THRESHOLD
        failed = (arms.canary == 0) | (arms.canary_bad > self._limit * arms.canary)
        fails: Bools = failed.any(axis=0) & ~back
        promoted: Bools = ~fails & ~back & (self._weight[live] >= FLAGGER_MOST)
        self._failed[live] += fails
        self._weight[live] += np.where(fails | back | promoted, 0, FLAGGER_STEP)
        self.share[live] = self._weight[live] / 100
        return verdicts_of(promoted, back)


class ArgoRolloutsLike:
    """Timed steps, and a background analysis of the last five minutes each five minutes."""

    def __init__(self, scenario: Scenario, runs: int) -> None:
        self._limit = _thresholds(scenario)
        shape = (len(scenario.streams), runs)
        self._failures, self._errors = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self._window: deque[tuple[Floats, Floats]] = deque(maxlen=ARGO_INTERVAL_MINUTES)
        self._shape, self._minute = shape, 0
        self.share = np.full(runs, ARGO_SHARES[0])

    def observe(self, arms: SimulatedArms, live: Ints) -> Ints:
        """Evaluate one minute; every fifth has a measurement."""
        self._minute += 1
        bad, events = np.zeros(self._shape), np.zeros(self._shape)
        bad[:, live], events[:, live] = arms.canary_bad, arms.canary
        self._window.append((bad, events))
        if self._minute % ARGO_INTERVAL_MINUTES == 0:
            self._measure()
        over = (self._failures[:, live] > ARGO_FAILURES) | (self._errors[:, live] > ARGO_ERRORS)
        back: Bools = np.any(over, axis=0, keepdims=True)[0]
        step = self._minute // ARGO_STEP_MINUTES
        self.share[:] = ARGO_SHARES[min(step, len(ARGO_SHARES) - 1)]
        return verdicts_of(np.full(len(live), step >= len(ARGO_SHARES)) & ~back, back)

    def _measure(self) -> None:
        bad, events = (
            sum(column, np.zeros(self._shape)) for column in zip(*self._window, strict=True)
        )
        self._failures += bad > self._limit * events
        self._errors = np.where(events == 0, self._errors + 1, 0)


class KayentaLike:
    """One hour of points of canary and an equal baseline, judged once by Mann-Whitney."""

    def __init__(self, scenario: Scenario, runs: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._runs, self._slos = runs, len(scenario.streams)
        self._points: list[tuple[Floats, Floats]] = []
        self.share = np.full(runs, KAYENTA_SHARE)

    def observe(self, arms: SimulatedArms, live: Ints) -> Ints:
        """Evaluate one minute; the last one has the verdict."""
        share = KAYENTA_SHARE / (1 - KAYENTA_SHARE)
        bad = self._rng.binomial(arms.stable_bad.astype(np.int64), share)
        good = self._rng.binomial((arms.stable - arms.stable_bad).astype(np.int64), share)
        with np.errstate(invalid="ignore"):
            canary, baseline = arms.canary_bad / arms.canary, bad / (bad + good)
        self._points.append((canary, baseline))
        if len(self._points) < KAYENTA_MINUTES:
            return np.zeros(len(live), np.int64)
        return self._judge()

    def _judge(self) -> Ints:
        canary, baseline = (np.stack(column, axis=-1) for column in zip(*self._points, strict=True))
        passed = np.array(
            [
                [not is_high(canary[slo, run], baseline[slo, run]) for run in range(self._runs)]
                for slo in range(self._slos)
            ]
        )
        score = passed.mean(axis=0)
        marginal = np.where(
            score >= KAYENTA_MARGINAL, SimulatedVerdict.INCONCLUSIVE, SimulatedVerdict.ROLLED_BACK
        )
        return np.where(score >= KAYENTA_PASS, SimulatedVerdict.PROMOTED, marginal).astype(np.int64)

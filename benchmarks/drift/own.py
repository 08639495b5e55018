"""The operator's decisions in a closed loop: what it decides changes what it sees next.

The world is the replay's, so the decisions are those that the operator would make. A training
really trains, on the rows that were there when it began; a canary gets each row with the
probability of its share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.drift.run import Run, run_of
from benchmarks.drift.streams import BLOCK_SECONDS, FIRST_ROWS, STREAM_START
from sluicegate.api.product import DataProduct
from sluicegate.api.shadow import ShadowStatus
from sluicegate.policy.canary.shadow_evidence import is_tried, with_rows
from sluicegate.policy.model.decision import Promote, Retrain
from sluicegate.simulation.replay import Replay
from sluicegate.simulation.replay_scenario import ReplayBlock, ReplayScenario, Retrained
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs
from sluicegate.stats.paired_blocks import NO_ROWS, plus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.drift.models import Model, Trainer
    from sluicegate.policy.model.decision import Decision

SLO: Final = "accuracy"
PARTS: Final = 5
"""A block of 300 s comes in parts of 60 s: the blocks that a canary is judged in."""
PART_SECONDS: Final = 60
LATEST_ROWS: Final = 2_000
"""Rows that a training takes at most."""
LEAST_ROWS: Final = 400
"""Rows since the change from which on they suffice."""
HOLD_OUT_SHARE: Final = 5
"""One row in so many, the newest, is held out of the training."""
MAX_DROP: Final = "0.03"
DEFAULTS: Final = "sluicegate-defaults"
SCHEDULED: Final = "sluicegate"
OWN: Final = (SCHEDULED, DEFAULTS)
MIRRORED: Final = "sluicegate-mirrored"
"""The scheduled one, with all requests of stable mirrored to the candidate."""
SCHEDULE_LABELS: Final = 1_000


def product(policy: str, **spec: Any) -> DataProduct:
    """The product of a policy: what somebody writes who gives `maxDrop` and a training command."""
    retraining: dict[str, Any] = {
        "command": ["python", "-m", "train"],
        "output": "registry.example/stream",
    }
    if policy in {SCHEDULED, MIRRORED}:
        retraining["schedule"] = {"everyLabels": SCHEDULE_LABELS}
    if policy == MIRRORED:
        shadow = {"mirror": {"percent": 100}, "intervalSeconds": BLOCK_SECONDS}
        spec = {"rollout": {"shadow": shadow}} | spec
    return DataProduct.parse(
        {
            "apiVersion": "sluicegate.dev/v1alpha1",
            "kind": "DataProduct",
            "metadata": {"name": "stream", "namespace": "drift"},
            "spec": {
                "owner": "group:default/drift",
                "model": {
                    "bento": {
                        "image": "registry.example/stream@sha256:" + "a" * 64,
                        "version": "v1",
                        "service": "Stream",
                    }
                },
                "serving": {"feedback": {"secretRef": {"name": "feedback"}}},
                "slos": [{"name": SLO, "indicator": {"outcomes": {}}, "maxDrop": MAX_DROP}],
                "retraining": retraining,
                **spec,
            },
        }
    )


class Loop:
    """One stream under the operator's decisions."""

    def __init__(self, trainer: Trainer, policy: str, seed: int) -> None:
        self._trainer, self._stream = trainer, trainer.stream
        self._policy = policy
        self._seed = seed
        self._random = np.random.default_rng(seed)
        first = trainer.train(0, FIRST_ROWS)
        self._models: dict[str, Model] = {"v1": first}
        accepted = _count(first, FIRST_ROWS, STREAM_START)
        first_part = ReplayBlock(PART_SECONDS)  # tells the length of those to come
        self._world = Replay(
            ReplayScenario(product(policy), "v1", {SLO: accepted}, (first_part,), (), ())
        )
        self._served = np.zeros(len(self._stream.labels), dtype=np.bool_)
        self._trainings: list[int] = []
        self._promotions: list[tuple[int, str]] = []
        self._decays = 0
        self._mirrored = NO_ROWS
        """Rows of stable's share that the candidate was scored on, in the interval that runs."""
        self._log: list[str] = []

    def run(self) -> Run:
        """Until the stream's last whole block."""
        stream, start = self._stream, STREAM_START
        for part, end in enumerate(stream.ends(PARTS), 1):
            self._advance(part * PART_SECONDS, start, end)
            start = end
        return run_of(
            stream,
            self._policy,
            self._seed,
            self._served,
            trainings=self._trainings,
            promotions=[row for row, _ in self._promotions],
            decays=self._decays,
            answered=self._answered(),
            log=self._log,
        )

    def _advance(self, now: int, start: int, end: int) -> None:
        before = self._world.status
        assert before.stable is not None
        stable = self._models[before.stable.release.version]
        counts = {before.stable.release.version: stable.wrong[start:end]}
        trial, rows = before.trial, NO_ROWS
        self._served[start:end] = stable.wrong[start:end]
        if trial is not None:
            name = trial.release.version
            candidate = self._models[name]
            chosen = self._random.random(end - start) < trial.weight / 100
            counts[before.stable.release.version] = stable.wrong[start:end][~chosen]
            counts[name] = candidate.wrong[start:end][chosen]
            rows = _pairs(candidate.wrong[start:end][~chosen], stable.wrong[start:end][~chosen])
            self._served[start:end][chosen] = candidate.wrong[start:end][chosen]
        block = ReplayBlock(
            now,
            {name: {SLO: (int(wrong.sum()), len(wrong))} for name, wrong in counts.items()},
        )
        step = self._world.advance(block)
        if self._policy == MIRRORED:
            self._score("" if trial is None else trial.release.version, rows, now)
        self._follow(step.evaluation.decision, now, end)

    def _score(self, tried: str, rows: Pairs, now: int) -> None:
        """Count rows of stable's share for the candidate, an interval at a time, as the operator does."""
        status = self._world.status
        candidate = status.trial
        if candidate is None or candidate.release.version != tried or not is_tried(status):
            self._mirrored = NO_ROWS
            return
        self._mirrored = plus(self._mirrored, rows)
        shadow = candidate.shadow or ShadowStatus(since_time=candidate.start_time)
        if now >= shadow.since_time + BLOCK_SECONDS:
            ended, pairs = shadow.replace(until_time=now), {SLO: self._mirrored}
            shadow = with_rows(self._world.terms, candidate, ended, pairs).replace(until_time=None)
            self._mirrored = NO_ROWS
        self._world.status = status.with_candidate(shadow=shadow)

    def _follow(self, decision: Decision, now: int, end: int) -> None:
        match decision:
            case Retrain():
                self._train(decision, now, end)
            case Promote():
                self._promotions.append((end, decision.candidate.version))
            case _:
                pass
        if str(decision.type) not in {"Hold", "Advance"}:
            self._log.append(f"{end} {decision.type} {decision.reason}: {decision.message}")

    def _train(self, decision: Retrain, now: int, end: int) -> None:
        self._decays += int(bool(decision.slo))
        self._trainings.append(end)
        first = end - LATEST_ROWS
        since = self._changed(decision)
        if since is not None:
            first = max(first, min(since, end - LEAST_ROWS))
        held = (end - first) // HOLD_OUT_SHARE
        model = self._trainer.train(first, end - held)
        version = f"v{len(self._models) + 1}"
        self._models[version] = model
        parent = self._models[decision.parent.version]
        result = Retrained(
            version,
            {SLO: _count(model, end - held, end)},
            {SLO: _count(parent, end - held, end)},
            {SLO: _pairs(model.wrong[end - held : end], parent.wrong[end - held : end])},
        )
        self._world.expect([(now + BLOCK_SECONDS, result)])

    def _changed(self, decision: Retrain) -> int | None:
        """The row at which the world is thought to have changed; None where nothing tells."""
        return None if decision.changed is None else self._stream.row_at(decision.changed)

    def _answered(self) -> list[int | None]:
        """Rows from each drift until a model mostly of the new concept serves all."""
        stream = self._stream
        found: list[int | None] = []
        for place, drift in enumerate(stream.drifts):
            last = (
                stream.drifts[place + 1] if place + 1 < len(stream.drifts) else len(stream.labels)
            )
            rows = (
                row - drift
                for row, version in self._promotions
                if drift < row <= last and _is_mostly_after(self._models[version], drift)
            )
            found.append(next(rows, None))
        return found


def _is_mostly_after(model: Model, row: int) -> bool:
    return (model.trained_from + model.trained_to) / 2 >= row


def _count(model: Model, first: int, last: int) -> Count:
    wrong = model.wrong[first:last]
    return Count(int(wrong.sum()), len(wrong))


def _pairs(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> Pairs:
    """Rows by which version was wrong, the candidate first."""
    return Pairs(
        int((~ours & ~theirs).sum()),
        int((~ours & theirs).sum()),
        int((ours & ~theirs).sum()),
        int((ours & theirs).sum()),
    )

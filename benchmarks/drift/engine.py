"""A shortcut for development: the operator's decision functions alone, in the same closed loop.

A replay replaces the cluster: decisions take effect at once, and pods never fail. A test compares
its decisions with those of the whole operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.drift.policies import MIRRORED, SLO, document
from benchmarks.drift.served import FIRST_VERSION, YOUNGEST, Served
from benchmarks.drift.streams import BLOCK_SECONDS, PART_SECONDS, PARTS
from benchmarks.virtual.operator import SETTINGS
from sluicegate.api.product import DataProduct
from sluicegate.api.shadow import ShadowStatus
from sluicegate.policy.canary.shadow_evidence import with_rows
from sluicegate.policy.model.decision import Promote, Retrain
from sluicegate.policy.rollout.shadow_phase import is_tried
from sluicegate.simulation.replay import Replay
from sluicegate.simulation.replay_scenario import ReplayBlock, ReplayScenario, Retrained
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.paired_blocks import NO_ROWS, add_pairs

if TYPE_CHECKING:
    from benchmarks.drift.models import Trainer
    from benchmarks.drift.run import Run
    from sluicegate.policy.model.decision import Decision
    from sluicegate.stats.paired import Pairs

FULL: Final = 100
READ_SECONDS: Final = round(SETTINGS.scrape_interval_seconds + SETTINGS.settle_seconds)


class Engine:
    """One stream under the operator's decisions."""

    def __init__(self, trainer: Trainer, policy: str, seed: int) -> None:
        self._stream, self._policy = trainer.stream, policy
        self._served = Served(trainer, seed)
        accepted = self._served.accepted
        first_part = ReplayBlock(PART_SECONDS)  # with the length of the later ones
        product = DataProduct.parse(document(policy, accepted))
        self._world = Replay(
            ReplayScenario(
                product,
                FIRST_VERSION,
                {SLO: accepted},
                (first_part,),
                (),
                (),
                read_seconds=READ_SECONDS,
            )
        )
        self._mirrored = NO_ROWS
        """Rows of stable's share that the candidate was scored on, in the interval that runs."""

    def run(self) -> Run:
        """Run until the stream's last whole block."""
        for part, end in enumerate(self._stream.ends(PARTS), 1):
            self._advance(part * PART_SECONDS, end)
        return self._served.run(self._policy)

    def _advance(self, now: int, end: int) -> None:
        status, served = self._world.status, self._served
        assert status.stable is not None
        stable, candidate = status.stable.release.version, status.trial
        name, weight = (candidate.release.version, candidate.weight) if candidate else ("", 0)
        shares = {stable: (FULL - weight) / FULL} | ({name: weight / FULL} if candidate else {})
        answered = served.answer(end, stable, shares)
        counts = {
            version: {
                SLO: (int(served.wrong(version, rows).sum()), len(rows)),
                YOUNGEST: (int(served.wrong(version, rows).sum()), len(rows)),
                CLIENT_ERRORS: (0, len(rows)),
            }
            for version, rows in answered.items()
        }
        step = self._world.advance(ReplayBlock(now, counts))
        if self._policy == MIRRORED:
            pairs = served.pairs(name, stable, answered[stable]) if candidate else NO_ROWS
            self._score(name, pairs, now)
        self._follow(step.evaluation.decision, now)

    def _score(self, tried: str, rows: Pairs, now: int) -> None:
        """Count rows of stable's share for the candidate, an interval at a time, as the operator does."""
        status = self._world.status
        candidate = status.trial
        if candidate is None or candidate.release.version != tried or not is_tried(status):
            self._mirrored = NO_ROWS
            return
        self._mirrored = add_pairs(self._mirrored, rows)
        shadow = candidate.shadow or ShadowStatus(since_time=candidate.start_time)
        if now + READ_SECONDS >= shadow.since_time + BLOCK_SECONDS:
            scored, pairs = shadow.replace(until_time=now + READ_SECONDS), {SLO: self._mirrored}
            shadow = with_rows(self._world.terms, candidate, scored, pairs).replace(until_time=None)
            self._mirrored = NO_ROWS
        self._world.status = status.with_candidate(shadow=shadow)

    def _follow(self, decision: Decision, now: int) -> None:
        match decision:
            case Retrain():
                self._train(decision, now)
            case Promote():
                self._served.promoted(decision.candidate.version)
            case _:
                pass
        self._served.decided(str(decision.type), str(decision.reason), decision.message)

    def _train(self, decision: Retrain, now: int) -> None:
        parent = decision.parent.version
        trained = self._served.train(parent, decision.changed, decays=bool(decision.slo))
        result = Retrained(
            trained.version,
            {SLO: trained.count},
            {SLO: trained.parent_count},
            {SLO: trained.pairs},
        )
        self._world.expect([(now + BLOCK_SECONDS, result)])

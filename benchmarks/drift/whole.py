"""The whole operator in a closed loop, on virtual time: its actions change its next observations.

The operator is unchanged. An API server, a cluster and a Prometheus in memory follow its writes
(`benchmarks.virtual`): a training Job fits a model on the rows that have arrived at its start, each
row goes to a version by the weights of the HTTPRoute, and Prometheus counts it with its label.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from benchmarks.drift.policies import SLO, document, image
from benchmarks.drift.served import Served
from benchmarks.drift.streams import BLOCK_SECONDS, PART_SECONDS, PARTS
from benchmarks.virtual.event_loop import EPOCH, run_virtually
from benchmarks.virtual.operator import SETTINGS, World
from benchmarks.virtual.trainings import Training, trigger_of

if TYPE_CHECKING:
    from benchmarks.drift.models import Trainer
    from benchmarks.drift.run import Run
    from benchmarks.drift.served import Rows
    from benchmarks.virtual.cluster import Cluster
    from benchmarks.virtual.operator import Replica
    from benchmarks.virtual.traffic import Version
    from sluicegate.kube.resources import Key

Body = dict[str, Any]

BEGIN: Final = 86_400.0
"""The loop's time at which the first row is due: a midnight in UTC."""
READY_SECONDS: Final = 60.0
"""Seconds before that at which the product is created."""
COUNTED_SECONDS: Final = 1.0
"""Seconds before the end of a part at which its rows are counted, for its last scrape."""
TRAINING_SECONDS: Final = BLOCK_SECONDS - 10.0
"""Duration of a Job: it starts seconds after the block of its decision, and ends with the next one."""
LAST_SECONDS: Final = 30.0
"""Seconds after the last row until the operator has evaluated its block."""
RARELY: Final[Body] = {
    "lease_duration_seconds": 300, "lease_renew_seconds": 290, "lease_retry_seconds": 60,
    "resync_seconds": 86_400,
}  # fmt: skip
"""Settings for rare renewals and lists, which decide nothing here, and are most of an idle operator's work."""


class Whole:
    """One stream under the whole operator."""

    def __init__(self, trainer: Trainer, policy: str, seed: int) -> None:
        self._stream, self._policy, self._seed = trainer.stream, policy, seed
        self._served = Served(trainer, seed)
        self._stable = ""
        self._decision: Body = {}

    def run(self) -> Run:
        """Run until the stream's last whole block."""
        run_virtually(self._run())
        return self._served.run(self._policy)

    async def _run(self) -> None:
        settings = SETTINGS.model_copy(update=RARELY)
        async with World(self._seed, settings, for_days=True) as world:
            await world.run(BEGIN - READY_SECONDS)
            key = self._create(world)
            for part, end in enumerate(self._stream.ends(PARTS), 1):
                due = BEGIN + part * PART_SECONDS - COUNTED_SECONDS
                await world.run(due - world.loop.time())
                self._serve(world.cluster, key, end)
            await world.run(LAST_SECONDS)
            await world.replicas[0].stop()
            if world.errors.found:
                raise RuntimeError(f"the operator logged an error: {world.errors.found[0]}")

    def _create(self, world: World) -> Key:
        world.on_step.append(self._follow)
        key = world.apply(document(self._policy, self._served.accepted))
        world.cluster.trainers[key] = self._train
        world.cluster.set_rate(key, 0.0)  # only its rows are requests
        world.start()
        return key

    # ---- what the cluster does ----------------------------------------------------------------
    def _serve(self, cluster: Cluster, key: Key, end: int) -> None:
        """Answer the rows that have arrived since the last part, and count them."""
        shares = {one.version: (one, share) for one, share in cluster.shares_of(key).items()}
        answered = self._served.answer(
            end, self._stable, {name: share for name, (_, share) in shares.items()}
        )
        mirrors = cluster.mirrors_of(key)
        for name, rows in answered.items():
            version, _ = shares[name]
            wrong, total = int(self._served.wrong(name, rows).sum()), len(rows)
            events = {"requests": total, "answered": total}
            events |= {"correct": total - wrong, "wrong": wrong}
            if version in mirrors:
                events |= self._paired(version, mirrors[version], rows)
            cluster.traffic.versions[version].add(cluster.loop.time(), events)

    def _paired(self, version: Version, shadow: Version, rows: Rows) -> dict[str, int]:
        """Return the mirrored rows by both outcomes, with the names of `benchmarks.virtual.cluster`."""
        pairs = self._served.pairs(shadow.version, version.version, rows)
        target = f"{shadow.version}/{shadow.revision}"
        return {
            f"correct/correct>{target}": pairs.both_right,
            f"correct/wrong>{target}": pairs.only_candidate_wrong,
            f"wrong/correct>{target}": pairs.only_stable_wrong,
            f"wrong/wrong>{target}": pairs.both_wrong,
        }

    def _train(self, job: Body) -> Training:
        """Fit a model on the rows that have arrived, and report it like the training's container."""
        trigger = trigger_of(job)
        changed = trigger.get("changeTime")
        trained = self._served.train(
            trigger["version"],
            None if changed is None else _seconds(changed) - EPOCH - BEGIN,
            decays=bool(trigger.get("slo")),
        )
        both, stable, candidate, neither = trained.pairs
        pairs = {
            "bothRight": both, "onlyStableWrong": stable,
            "onlyCandidateWrong": candidate, "bothWrong": neither,
        }  # fmt: skip
        report = {
            "image": image(trained.version),
            "version": trained.version,
            "evaluation": {SLO: trained.count._asdict()},
            "stableEvaluation": {SLO: trained.parent_count._asdict()},
            "pairs": {SLO: pairs},
        }
        return Training(TRAINING_SECONDS, report)

    # ---- what the operator does ---------------------------------------------------------------
    def _follow(self, replica: Replica, key: Key) -> None:
        """Record a decision and a promotion after each reconcile."""
        status = replica.world.status(key)
        stable = (status.get("stable") or {}).get("version", "")
        if self._stable and stable != self._stable:
            self._served.promoted(stable)
        self._stable = stable
        decision = status.get("decision") or {}
        if decision and decision != self._decision:
            self._served.decided(decision["type"], decision["reason"], decision["message"])
        self._decision = decision


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()

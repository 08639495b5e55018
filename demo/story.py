"""The story: a market moves away from a model, and the product heals itself.

    served → healthy → (the market shifts) → degraded → retraining → proved on the hold-out
    → canary 5, 25, 50 % → promoted → recovered

Each stage expects something of the products or of the visitors, within a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demo.products import write_market
from demo.report import Accuracy, Check, Report, Requests
from demo.samples import PRICING, RANKING, SAMPLES, Object
from demo.telling import Scene, Stage, Telling
from demo.watch import percent
from used_car_market import SHOCKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from used_car_market import Market

SHOCK = "DieselPricesFall"
LATER_DAYS = 35  # a training looks back four weeks: all of them are after the shock
STEPS = (5, 25, 50)
MEASURED = {PRICING: 5_000, RANKING: 500}  # predictions that show how the products are at first
RECOVERED = {PRICING: 1_500, RANKING: 200}  # predictions after the promotion that show it is better
MAX_DROP = 0.03  # as both products' files have it


@dataclass(slots=True)
class Story:
    """State of the stages beside the scenes: observed weights, and the spec before."""

    telling: Telling
    weights: list[int] = field(default_factory=list)
    specs: dict[str, Object] = field(default_factory=dict)

    def serve(self) -> None:
        """Wait until both products serve; traffic can begin then."""
        self.telling.until(
            Stage(
                name="served",
                expects="both products to be Ready",
                seconds=180,
                reached=lambda scene: all(seen.ready for seen in scene.states.values()),
            )
        )
        self.specs = {sample.name: self.telling.read(sample)["spec"] for sample in SAMPLES}

    def unfold(self, shift: Callable[[], None]) -> None:
        """Run the rest, which `shift` of the market causes."""
        for stage in self._stages(shift):
            self.telling.until(stage)

    def _stages(self, shift: Callable[[], None]) -> Iterator[Stage]:
        yield Stage(
            name="healthy",
            expects="both products to be Healthy, measured on real traffic",
            seconds=240,
            reached=_is_healthy,
        )
        yield Stage(
            name="shifted",
            expects="the market to shift",
            seconds=30,
            reached=lambda _: True,
            begin=shift,
        )
        yield Stage(
            name="degraded",
            expects="pricing to become Degraded",
            seconds=240,
            reached=lambda scene: scene.states[PRICING].state == "Degraded",
        )
        yield Stage(
            name="retraining",
            expects="a retraining of pricing, because its model has decayed",
            seconds=60,
            reached=lambda scene: scene.states[PRICING].training.cause == "ModelDecay",
        )
        yield Stage(
            name="proved",
            expects="a new version of pricing that isn't worse on the hold-out",
            seconds=240,
            reached=lambda scene: scene.states[PRICING].source == "Retraining",
            spoiled=_attempt_failed,
        )
        yield Stage(
            name="canary",
            expects=f"the new version to take {', '.join(map(str, STEPS))} % of the traffic",
            seconds=360,
            reached=self._has_stepped,
            spoiled=_attempt_failed,
        )
        yield Stage(
            name="promoted",
            expects="the new version to be promoted",
            seconds=180,
            reached=lambda scene: (
                scene.states[PRICING].stable != self._first and scene.states[PRICING].rests
            ),
            spoiled=_attempt_failed,
        )
        yield Stage(
            name="recovered",
            expects="the accuracy of both products to be back",
            seconds=120,
            reached=self._is_back,
        )

    @property
    def _first(self) -> str:
        return self.telling.moments["served"].states[PRICING].stable

    def _has_stepped(self, scene: Scene) -> bool:
        weight = scene.states[PRICING].weight
        if weight and weight not in self.weights:
            self.weights.append(weight)
        return set(STEPS) <= set(self.weights)

    def _is_back(self, scene: Scene) -> bool:
        promoted = self.telling.moments["promoted"]
        for sample, least in RECOVERED.items():
            counts = scene.snapshots[sample].since(promoted.snapshots[sample])
            baseline = self.telling.moments["healthy"].states[sample].baseline or 1.0
            if counts.judged < least or (counts.accuracy or 0.0) < baseline - MAX_DROP:
                return False
        return True

    # ---- the end --------------------------------------------------------------------------
    def report(self, preparation_seconds: float, reason: str = "") -> Report:
        """Return the report so far, with the checks of the story."""
        moments = self.telling.moments
        last = self.telling.scene() if self.telling.senders else None
        return Report(
            moments={name: scene.at for name, scene in moments.items()},
            accuracies=self._accuracies(last),
            requests=_requests(last),
            checks=tuple(self._checks(last)) if last and not reason else (),
            rows=self.telling.rows,
            levels=self.telling.levels,
            reason=reason,
            preparation_seconds=preparation_seconds,
        )

    def _accuracies(self, last: Scene | None) -> list[Accuracy]:
        moments = self.telling.moments
        if last is None or "shifted" not in moments:
            return []
        shifted = moments["shifted"].snapshots
        promoted = moments.get("promoted", last).snapshots
        begin = {sample: type(shifted[sample])(0.0) for sample in SAMPLES}
        return [
            Accuracy(
                sample.name,
                before=shifted[sample].since(begin[sample]),
                during=promoted[sample].since(shifted[sample]),
                after=last.snapshots[sample].since(promoted[sample]),
            )
            for sample in SAMPLES
        ]

    def _checks(self, last: Scene) -> Iterator[Check]:
        pricing = last.states[PRICING]
        requests = _requests(last)
        yield Check(
            f"pricing {self._first} was retrained because of ModelDecay, in a Job",
            "retraining" in self.telling.moments and bool(pricing.training.version),
        )
        yield Check(
            f"it took {' → '.join(map(str, self.weights))} % of the traffic",
            tuple(self.weights[: len(STEPS)]) == STEPS,
        )
        kept = [version for version, outcome, _ in pricing.history if outcome == "Replaced"]
        yield Check(
            f"{pricing.stable} serves, {self._first} is kept for a rollback", self._first in kept
        )
        after = percent(self._accuracies(last)[0].after.accuracy)
        yield Check(f"accuracy is back at {after}", "recovered" in self.telling.moments)
        yield Check("no request failed", requests.failed == 0 and requests.sent > 0)
        now = {sample.name: self.telling.read(sample)["spec"] for sample in SAMPLES}
        yield Check("no spec was touched", now == self.specs)


def shift_market(telling: Telling, market: Market) -> None:
    """Let the market move, for the trainings and for the traffic at once."""
    moved = market.with_shock(SHOCK).later(LATER_DAYS)
    write_market(telling.backend, moved)
    if telling.senders:
        telling.senders.market = moved
    telling.note("market", f"{SHOCK}: {SHOCKS[SHOCK].reason}")


def _is_healthy(scene: Scene) -> bool:
    return all(
        scene.states[sample].state == "Healthy" and scene.judged(sample) >= least
        for sample, least in MEASURED.items()
    )


def _attempt_failed(scene: Scene) -> str:
    training = scene.states[PRICING].training
    if not training.attempts or training.outcome in {"", "InProgress"}:
        return ""
    return f"the attempt ended as {training.outcome}: {training.message}"


def _requests(last: Scene | None) -> Requests:
    failures: dict[str, int] = {}
    snapshots = last.snapshots.values() if last else ()
    for snapshot in snapshots:
        for kind, count in snapshot.failures.items():
            failures[kind] = failures.get(kind, 0) + count
    return Requests(
        sum(one.sent for one in snapshots), sum(one.failed for one in snapshots), failures
    )

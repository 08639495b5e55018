"""Journeys of customers through products: what each step adds, and which is the weakest link. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from sluicegate.views.journey_shares import ServedShare
from sluicegate.views.product_facts import ProductFacts


@dataclass(frozen=True, slots=True)
class JourneyStep:
    """One product of a journey; products of the same `number` are met together."""

    number: int
    product: ProductFacts
    answered: ServedShare | None
    in_time: ServedShare | None


@dataclass(frozen=True, slots=True)
class Journey:
    """Products in the order in which a customer meets them.

    Attributes
    ----------
    answered : share of journeys in which each step answers; in_time : in which each does within its
        bound, which is `milliseconds` for all of them together. Both are products of the steps'
        shares, as if failures were independent: no journey is followed from step to step.
        None where no step is measured; `counted` and `timed` say how many are.
    weakest : the step that most requests fail at; None where no request fails.
    """

    name: str
    steps: tuple[JourneyStep, ...]
    answered: float | None
    counted: int
    in_time: float | None
    timed: int
    milliseconds: int
    weakest: JourneyStep | None

    @property
    def answered_bounds(self) -> tuple[float, float] | None:
        """Return least and greatest share of journeys that are answered at each measured step.

        They hold however failures coincide: at the least no journey fails at two steps, at the most all
        failures are those of the weakest. None where no step is measured.
        """
        ratios = [step.answered.ratio for step in self.steps if step.answered]
        return (max(0.0, 1 - sum(1 - ratio for ratio in ratios)), min(ratios)) if ratios else None


def journeys_of(products: Iterable[ProductFacts]) -> dict[str, Journey]:
    """Return the journeys by name, made of the products that a reader may see."""
    steps: dict[str, list[JourneyStep]] = {}
    for product in products:
        if product.journeys is None:
            continue
        for name, number in product.journeys.steps.items():
            step = JourneyStep(number, product, product.journeys.answered, product.journeys.in_time)
            steps.setdefault(name, []).append(step)
    return {name: _journey(name, journey_steps) for name, journey_steps in sorted(steps.items())}


def _journey(name: str, members: list[JourneyStep]) -> Journey:
    steps = tuple(sorted(members, key=lambda one: (one.number, one.product.key)))
    answered_ratios = [step.answered.ratio for step in steps if step.answered]
    timed = [step.in_time for step in steps if step.in_time]
    failing = [step for step in steps if step.answered and step.answered.ratio < 1]
    return Journey(
        name=name,
        steps=steps,
        answered=prod(answered_ratios) if answered_ratios else None,
        counted=len(answered_ratios),
        in_time=prod(one.ratio for one in timed) if timed else None,
        timed=len(timed),
        milliseconds=sum(one.milliseconds or 0 for one in timed),
        weakest=min(
            failing, key=lambda one: one.answered.ratio if one.answered else 1, default=None
        ),
    )

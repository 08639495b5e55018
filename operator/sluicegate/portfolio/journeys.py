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
        answered_ratios = [step.answered.ratio for step in self.steps if step.answered]
        return (
            (max(0.0, 1 - sum(1 - ratio for ratio in answered_ratios)), min(answered_ratios))
            if answered_ratios
            else None
        )


def journeys_of(products: Iterable[ProductFacts]) -> dict[str, Journey]:
    """Return the journeys by name, made of the products that a reader may see."""
    steps: dict[str, list[JourneyStep]] = {}
    for product in products:
        if product.journeys is None:
            continue
        for name, number in product.journeys.steps.items():
            step = JourneyStep(number, product, product.journeys.answered, product.journeys.in_time)
            steps.setdefault(name, []).append(step)
    return {name: _journey_of(name, journey_steps) for name, journey_steps in sorted(steps.items())}


def _journey_of(name: str, members: list[JourneyStep]) -> Journey:
    steps = tuple(sorted(members, key=lambda member: (member.number, member.product.key)))
    answered_ratios = [step.answered.ratio for step in steps if step.answered]
    timed_steps = [step.in_time for step in steps if step.in_time]
    failing_steps = [step for step in steps if step.answered and step.answered.ratio < 1]
    return Journey(
        name=name,
        steps=steps,
        answered=prod(answered_ratios) if answered_ratios else None,
        counted=len(answered_ratios),
        in_time=prod(ratio.ratio for ratio in timed_steps) if timed_steps else None,
        timed=len(timed_steps),
        milliseconds=sum(member.milliseconds or 0 for member in timed_steps),
        weakest=min(
            failing_steps,
            key=lambda step: step.answered.ratio if step.answered else 1,
            default=None,
        ),
    )

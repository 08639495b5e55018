"""Steps and duration of a rollout where the spec names none: what the traffic that comes can show.

A step has to show some requests of the candidate. A share at which they take hours exposes no
fewer users, only the same number later; so with little traffic a rollout begins with a larger one.
What applies is fixed when the rollout starts, and status.candidate.derived shows it.
"""

from dataclasses import replace
from typing import Final

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import DerivedRollout
from sluicegate.policy.canary.objections import LEAST_REQUESTS
from sluicegate.policy.model.decision import Decision, StartRollout
from sluicegate.policy.model.formatting import duration
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms

SOON_SECONDS: Final = 900
"""Within which a step is to show its requests."""
RATE_BLOCKS: Final = 24
"""Blocks that the rate of requests is taken from."""


def applied(terms: Terms, status: DataProductStatus, observed: Observed) -> Terms:
    """The terms with what the spec leaves out: as the rollout under way began, else as it would now."""
    if terms.steps_given and terms.duration_given:
        return terms
    trial = status.trial
    under_way = trial.derived if trial is not None and not trial.parked else None
    derived = under_way or derive(terms, observed)
    return replace(
        terms,
        steps=terms.steps if terms.steps_given else derived.steps or terms.steps,
        max_duration_seconds=terms.max_duration_seconds
        if terms.duration_given
        else derived.max_duration_seconds or terms.max_duration_seconds,
        derived=derived,
    )


def recorded(terms: Terms, decision: Decision) -> Decision:
    """The decision; one that starts a rollout with the derived values that its terms apply."""
    if not isinstance(decision, StartRollout) or terms.derived is None:
        return decision
    return replace(decision, derived=terms.derived)


def derive(terms: Terms, observed: Observed) -> DerivedRollout:
    """What a rollout that started now would take where the spec leaves it out."""
    rate = _requests_per_second(terms, observed)
    steps = terms.steps
    if rate > 0:
        shown = tuple(
            share for share in steps if share / 100 * rate * SOON_SECONDS >= LEAST_REQUESTS
        )
        steps = shown or steps[-1:]
    text = f"{rate * 60:,.3g} requests a minute of all versions" if rate else "no requests yet"
    return DerivedRollout(
        steps=() if terms.steps_given else steps,
        max_duration_seconds=None if terms.duration_given else terms.max_duration_seconds,
        message=f"{text}: {describe_steps(steps)}; {duration(terms.max_duration_seconds)} at most",
    )


def describe_steps(steps: tuple[int, ...]) -> str:
    """Shares in words."""
    return f"{', '.join(str(share) for share in steps)} %"


def _requests_per_second(terms: Terms, observed: Observed) -> float:
    """Of all versions together, by the SLO that counts most."""
    now = observed.block
    sums: dict[str, int] = {}
    for series in observed.series.values():
        for name, one in series.items():
            sums[name] = sums.get(name, 0) + one.window(now, RATE_BLOCKS).total
    return max(sums.values(), default=0) / (RATE_BLOCKS * terms.block_seconds)

"""Settings of a valid spec that can't have the effect that they are for."""

from collections.abc import Iterator

from sluicegate.api.product import DataProductSpec
from sluicegate.errors import Problem
from sluicegate.policy.canary.label_pace import dwell_seconds
from sluicegate.prometheus.timing import Timing
from sluicegate.settings import Settings
from sluicegate.slo.indicators import INDICATORS


def slos_without_labels(spec: DataProductSpec) -> Iterator[Problem]:
    """Yield the problem of SLOs that are counted from feedback, where the product takes none."""
    slos = [slo.name for slo in spec.slos if INDICATORS[slo.indicator.kind].from_truths]
    if slos and spec.serving.feedback is None:
        yield Problem(
            "spec.serving.feedback",
            f"is missing, and {', '.join(slos)} is counted from feedback at /feedback:"
            " add feedback: {secretRef: {name: …}}",
        )


def too_short_rollout(spec: DataProductSpec, settings: Settings) -> Iterator[Problem]:
    """Yield the problem of a rollout whose duration ends before its steps can.

    Without `rollout.steps` the least is that of one step.
    """
    rollout = spec.rollout
    steps = len(rollout.steps or (None,))
    timing = Timing(scrape_seconds=settings.scrape_interval_seconds)
    block_seconds = timing.canary_block(spec.analysis.block_seconds)
    least = round(steps * dwell_seconds(block_seconds))
    if rollout.max_duration_seconds is not None and rollout.max_duration_seconds < least:
        number = f"{steps} steps" if steps > 1 else "a step"
        yield Problem(
            "spec.rollout.maxDurationSeconds",
            f"is {rollout.max_duration_seconds}, and {number} with blocks of {block_seconds} s"
            f" {'take' if steps > 1 else 'takes'} at least {least} s, so each candidate is rolled back"
            f" as inconclusive: set it to more than {least}, or leave it out",
        )

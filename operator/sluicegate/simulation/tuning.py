"""Proposals for objectives, drops and margins, with the effect of each on a history.

Each alternative is one SLO alone, replayed by the rules of the operator. Versions are promoted at
the times of the history, if it has them, as one SLO alone can't evaluate a rollout. The delay of a
detection is measured by lowering the same history from several moments on.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from math import floor, inf, isfinite, log10, sqrt
from statistics import median, pstdev
from typing import Final

from sluicegate.api.slos import Slo
from sluicegate.policy.model.decision import Retrain
from sluicegate.policy.model.terms import terms_of
from sluicegate.simulation.replay import Replay
from sluicegate.simulation.replay_scenario import ReplayBlock, ReplayScenario
from sluicegate.simulation.scenario import LONGEST_CANARY_BLOCK_SECONDS
from sluicegate.slo.blocks import Quality
from sluicegate.stats.canary_duration import expected_seconds
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.dispersion import MIN_BLOCKS, burst_correlation
from sluicegate.stats.intervals import wilson_upper
from sluicegate.stats.sequential_test import MIN_RATIO

DAY: Final = 86_400
HOUR: Final = 3_600
DROP_START_SHARES: Final = (0.5, 0.65, 0.8)
"""Shares of the history from which it is lowered, once each."""
WATCHED_SECONDS: Final = 2 * DAY
"""Seconds in which a drop must be detected."""
BUDGETS_PER_DROP: Final = 5
"""Without `maxDrop`, the drop to detect is this multiple of the share that the objective allows."""
ALLOWED_FACTORS: Final = (1.25, 1.5, 2.0, 4.0)
"""Objectives, as multiples of the usual share of bad events that they allow."""
SPREAD_FACTORS: Final = (2.0, 4.0, 8.0, 16.0)
"""Drops, as multiples of the standard deviation of the daily share."""
MARGINS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
MAX_MARGINS: Final = 4
QUIET_DAYS: Final = 14.0
"""Least average days between alarms of an alternative that is proposed, and least days of its history."""
TRAFFIC_SECONDS: Final = DAY
"""Least length of a history from which the duration of a canary is proposed: traffic differs by hour."""
_STEPS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0)
_Z_SCORE: Final = 1.96


@dataclass(frozen=True, slots=True)
class TunedValue:
    """A value of a spec field with the alarms and delays that it causes on the history.

    Attributes
    ----------
    value : objective or maxDrop; None for the SLO as it is.
    alarms : times of degradations, in seconds. retrainings : number of retrainings.
    detection : median seconds until the drop is detected; infinite if it isn't in two days, None
        if the history is too short.
    """

    value: float | None
    alarms: tuple[int, ...]
    retrainings: int
    detection: float | None
    proposed: bool = False
    current: bool = False


@dataclass(frozen=True, slots=True)
class Margin:
    """A maxRegression, and the seconds that a canary of an equal version takes at today's traffic."""

    value: float
    canary: float
    proposed: bool = False
    current: bool = False


@dataclass(frozen=True, slots=True)
class Tuning:
    """Proposed values for one SLO.

    Attributes
    ----------
    seconds : length of the history. quiet_days : least days between alarms of a proposed value.
    count : all events of the history. per_minute : events a minute in its last day.
    drop : the drop to detect. hours : end and share of good events of each hour with any.
    """

    slo: str
    seconds: int
    quiet_days: float
    count: Count
    per_minute: float
    drop: float
    objective: float | None
    now: TunedValue
    objectives: tuple[TunedValue, ...]
    drops: tuple[TunedValue, ...]
    margins: tuple[Margin, ...]
    hours: tuple[tuple[int, float], ...]

    @property
    def is_short(self) -> bool:
        """Return whether the history is too short to show how rare alarms are."""
        return self.seconds < self.quiet_days * DAY

    @property
    def lacks_a_day(self) -> bool:
        """Return whether the history is too short for the duration of a canary at a day's traffic."""
        return self.seconds < TRAFFIC_SECONDS


def tune_slos(
    scenario: ReplayScenario, ratio_drop: float | None = None, quiet_days: float = QUIET_DAYS
) -> Iterator[Tuning]:
    """Yield the alternatives of each SLO that counts events and has any, in the product's order.

    Parameters
    ----------
    drop : drop of the share of good events to detect; None for the SLO's own.
    quiet_days : least days between alarms of a proposed objective or drop. A shorter history has
        no proposal.
    """
    for slo in scenario.product.spec.slos:
        if slo.indicator.gauge is None:
            counts = list(_slo_counts(scenario, slo.name))
            if sum(count.total for _, count in counts):
                yield _tune_slo(scenario, slo, counts, ratio_drop, quiet_days=quiet_days)


def _slo_counts(scenario: ReplayScenario, slo: str) -> Iterator[tuple[int, Count]]:
    """Yield end and events, of all versions, of each block that was read."""
    for block in scenario.blocks:
        bad_events = total = 0
        for counts in block.counts.values():
            count = counts.get(slo)
            if count is not None and not isinstance(count, Quality):
                bad_events, total = bad_events + int(min(count)), total + int(count[1])
        if block.unavailable is None:
            yield block.at, Count(bad_events, total)


def _tune_slo(
    scenario: ReplayScenario,
    slo: Slo,
    counts: list[tuple[int, Count]],
    ratio_drop: float | None,
    *,
    quiet_days: float,
) -> Tuning:
    total_count = summed(count for _, count in counts)
    seconds = counts[-1][0] - counts[0][0] + scenario.product.spec.analysis.block_seconds
    usual_ratio, day_spread = _usual_level(counts, total_count)
    looked_for = ratio_drop or slo.drop or BUDGETS_PER_DROP * (slo.allowed_bad or usual_ratio)
    looked_for = min(looked_for, 1 - usual_ratio)

    def alternative_values(values: Iterable[float], *, objective: bool) -> tuple[TunedValue, ...]:
        tuned_values = [
            _tuned_value(scenario, _with_value(slo, value, objective=objective), looked_for, value)
            for value in values
        ]
        return _proposed_value(tuned_values, seconds, quiet_days)

    allowed_ratios = sorted({_rounded_nicely(times * usual_ratio) for times in ALLOWED_FACTORS})
    return Tuning(
        slo=slo.name,
        seconds=seconds,
        quiet_days=quiet_days,
        count=total_count,
        per_minute=_recent_event_rate(counts) * 60,
        drop=looked_for,
        objective=None if slo.objective is None else float(slo.objective),
        now=replace(_tuned_value(scenario, slo, looked_for, None), current=True),
        objectives=alternative_values(
            (round(1 - bad_ratio, 9) for bad_ratio in allowed_ratios if bad_ratio < 1),
            objective=True,
        ),
        drops=alternative_values(
            (
                drop_value
                for drop_value in sorted(
                    {_rounded_nicely(times * day_spread) for times in SPREAD_FACTORS}
                )
                if drop_value < 1
            ),
            objective=False,
        ),
        margins=tuple(
            _tuned_margins(scenario, slo, counts, proposes_margin=seconds >= TRAFFIC_SECONDS)
        ),
        hours=tuple(_hourly_counts(counts)),
    )


def _with_value(slo: Slo, value: float, *, objective: bool) -> Slo:
    """Return the SLO with only this objective or this drop."""
    text = f"{value:.9f}".rstrip("0")
    change = {"objective": text, "max_drop": None} if objective else {"objective": None, "max_drop": text}  # fmt: skip
    return slo.replace(**change)


def _usual_level(counts: Sequence[tuple[int, Count]], total_count: Count) -> tuple[float, float]:
    """Return the usual share of bad events, and the standard deviation of a day's share.

    The usual share is that of the median day, as a history has incidents too; at least the share
    that its events distinguish from none.
    """
    days: dict[int, Count] = {}
    for block_time, count in counts:
        days[(block_time - 1) // DAY] = summed((days.get((block_time - 1) // DAY, NOTHING), count))
    days_with_events = [day for day in days.values() if day.total]
    usual_ratio = median(day_count.bad / day_count.total for day_count in days_with_events)
    usual_ratio = max(usual_ratio, wilson_upper(0, total_count.total, _Z_SCORE))
    typical_events = median(day_count.total for day_count in days_with_events)
    by_chance = sqrt(usual_ratio * (1 - usual_ratio) / typical_events)
    ratio_scatter = pstdev([day_count.bad / day_count.total for day_count in days_with_events])
    return usual_ratio, max(min(ratio_scatter, 3 * by_chance), by_chance)


def _rounded_nicely(value: float) -> float:
    """Round up to a round number, e.g. 0.0015."""
    power = 10.0 ** floor(log10(value))
    return float(
        f"{next(step for step in _STEPS if step * power >= value * (1 - 1e-9)) * power:.3g}"
    )


# ---- what an alternative does ----------------------------------------------------------------
def _tuned_value(
    scenario: ReplayScenario, slo: Slo, ratio_drop: float, value: float | None
) -> TunedValue:
    slo_replay = Replay(_with_slo_alone(scenario, slo), follows_history=True)
    start_indexes = {int(len(scenario.blocks) * start_share) for start_share in DROP_START_SHARES}
    alarms: list[int] = []
    drop_replays: list[tuple[int, Replay]] = []
    retrainings, is_degraded = 0, False
    for block_index, block in enumerate(scenario.blocks):
        if block_index in start_indexes and block_index and not is_degraded:
            drop_replays.append((block_index, deepcopy(slo_replay)))
        step = slo_replay.advance(block)
        was_degraded, is_degraded = is_degraded, step.status.engine.slo(slo.name).degraded
        alarms += [block.at] if is_degraded and not was_degraded else []
        retrainings += isinstance(step.evaluation.decision, Retrain)
    alarm_delays: list[float] = []
    for block_index, started_replay in drop_replays:
        blocks = scenario.blocks[block_index:]
        first_alarm = next((alarm_time for alarm_time in alarms if alarm_time >= blocks[0].at), inf)
        delay = _detection_delay(started_replay, blocks, slo.name, ratio_drop)
        if delay is not None and blocks[0].at + min(delay, WATCHED_SECONDS) < first_alarm:
            alarm_delays.append(delay)  # later alarms are those of the history itself
    return TunedValue(
        value, tuple(alarms), retrainings, median(alarm_delays) if alarm_delays else None
    )


def _with_slo_alone(scenario: ReplayScenario, slo: Slo) -> ReplayScenario:
    """Return the history with a single SLO, so that this SLO causes all decisions."""
    product = scenario.product
    retraining = product.spec.retraining
    gateless_retraining = retraining and retraining.replace(gate={})
    spec = product.spec.replace(slos=(slo,), retraining=gateless_retraining)
    return replace(
        scenario,
        product=product.replace(spec=spec),
        accepted={name: count for name, count in scenario.accepted.items() if name == slo.name},
        baselines={
            name: baseline_document
            for name, baseline_document in scenario.baselines.items()
            if name == slo.name
        },
    )


def _detection_delay(
    slo_replay: Replay, blocks: Sequence[ReplayBlock], slo: str, ratio_drop: float
) -> float | None:
    """Return the seconds until a drop is detected.

    Infinite if it isn't detected in the watched time, None if the history ends before that.
    """
    carried_events = 0.0
    begin_time = blocks[0].at
    for block in blocks:
        if block.at - begin_time > WATCHED_SECONDS:
            return inf
        worse_block, carried_events = block_with_lower_ratio(block, slo, ratio_drop, carried_events)
        step = slo_replay.advance(worse_block)
        if step.status.engine.slo(slo).degraded:
            return block.at - begin_time
    return None


def block_with_lower_ratio(
    block: ReplayBlock, slo: str, ratio_drop: float, carried_events: float
) -> tuple[ReplayBlock, float]:
    """Return the block with the additional bad events of a drop, and the remaining fraction of an event."""
    counts = {}
    for version, slo_counts in block.counts.items():
        count = slo_counts.get(slo)
        counts[version] = slo_counts
        if count is not None and not isinstance(count, Quality):
            bad_events, total = count
            carried_events += ratio_drop * total
            added_bad_events = min(floor(carried_events), max(int(total - bad_events), 0))
            carried_events -= added_bad_events
            counts[version] = {**slo_counts, slo: (bad_events + added_bad_events, total)}
    return replace(block, counts=counts), carried_events


def _proposed_value(
    tuned_values: list[TunedValue], seconds: float, quiet_days: float
) -> tuple[TunedValue, ...]:
    """Mark the strictest value that is quiet enough; if none is, the strictest of the quietest.

    A history that is shorter than the time between two alarms can't show which value is quiet:
    none is marked.
    """
    max_alarms = floor(seconds / DAY / quiet_days)
    if not tuned_values or not max_alarms:
        return tuple(tuned_values)
    fewest_alarms = min(len(tuned_value.alarms) for tuned_value in tuned_values)
    limit = max(max_alarms, fewest_alarms)
    chosen_value = next(
        tuned_value for tuned_value in tuned_values if len(tuned_value.alarms) <= limit
    )
    return tuple(
        replace(tuned_value, proposed=tuned_value is chosen_value) for tuned_value in tuned_values
    )


# ---- canaries at today's traffic -------------------------------------------------------------
def _tuned_margins(
    scenario: ReplayScenario,
    slo: Slo,
    counts: Sequence[tuple[int, Count]],
    *,
    proposes_margin: bool,
) -> Iterator[Margin]:
    slo_terms = terms_of(_with_slo_alone(scenario, slo).product)
    current_margin = slo_terms.slos[0].margin
    newest_counts = [count for _, count in counts if count.total][-MIN_BLOCKS:]
    total_newest = summed(newest_counts)
    ratio, correlation = (
        total_newest.bad / max(total_newest.total, 1),
        burst_correlation(newest_counts),
    )
    rate, seconds = (
        _recent_event_rate(counts),
        min(slo_terms.block_seconds, LONGEST_CANARY_BLOCK_SECONDS),
    )

    def canary(margin: float) -> float:
        return expected_seconds(
            slo_terms.steps,
            events_per_second=rate,
            ratio=min(max(ratio, MIN_RATIO), 1 - margin - MIN_RATIO),
            margin=margin,
            block_seconds=seconds,
            correlation=correlation,
        )

    times = {
        margin: canary(margin)
        for margin in sorted({*MARGINS, current_margin})
        if ratio + margin < 1
    }
    max_duration_seconds = slo_terms.max_duration_seconds
    fitting_margins = [margin for margin, time in times.items() if time <= max_duration_seconds / 2]
    proposed_margin = fitting_margins[0] if fitting_margins else None
    useful_margins = [margin for margin in fitting_margins if times[margin] > min(times.values())]
    selected_margins = {*(useful_margins or fitting_margins)[:MAX_MARGINS], current_margin}
    if proposed_margin is None:
        selected_margins |= {*list(times)[-2:]}
    for margin in sorted(selected_margins & times.keys()):
        yield Margin(
            margin,
            times[margin],
            proposes_margin and margin == proposed_margin,
            margin == current_margin,
        )


def _recent_event_rate(counts: Sequence[tuple[int, Count]]) -> float:
    """Return the events a second in the last day of the history."""
    newest_time = counts[-1][0]
    recent_counts = [
        (block_time, count) for block_time, count in counts if block_time > newest_time - DAY
    ]
    seconds = min(DAY, newest_time - counts[0][0]) or 1
    return sum(count.total for _, count in recent_counts) / seconds


def _hourly_counts(counts: Iterable[tuple[int, Count]]) -> Iterator[tuple[int, float]]:
    hours: dict[int, Count] = {}
    for block_time, count in counts:
        hours[(block_time - 1) // HOUR] = summed(
            (hours.get((block_time - 1) // HOUR, NOTHING), count)
        )
    for hour, count in hours.items():
        if count.total:
            yield (hour + 1) * HOUR, 1 - count.bad / count.total


def as_seconds(value: float | None) -> int | None:
    """Return whole seconds for JSON; None for an infinite or unknown time."""
    return round(value) if value is not None and isfinite(value) else None

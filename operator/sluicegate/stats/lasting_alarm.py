"""An alarm about a ratio above its limit that lasts until half of the evidence for it is used up.

The statistics of a bank of CUSUMs (cusum.py) rise no further than their bound. An alarm begins when
one of them reaches it, and ends when that one falls below half of it; all begin from 0 then. So the
evidence that a ratio is within its limit again has to be of the same kind as the evidence that it
was not, a ratio near its limit doesn't switch the alarm on and off, and a large rise, found by large
odds, isn't held by the small ones, which fall slowly.

Source: J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for sequential
change detection" (2023), as in cusum.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sluicegate.stats.cusum import Bank, cusum_bank_against


@lru_cache(maxsize=2**14)
def cusum_bank_of_odds(limit: float, odds: tuple[float, ...], mean_blocks: float) -> Bank:
    """Return a bank whose null ratio is the limit itself, and whose alternatives have higher odds.

    Parameters
    ----------
    limit : largest share of bad events of the null, in (0, 1).
    odds : factors, above 1, by which the odds of a bad event exceed those of the limit.
    mean : mean number of units between false alarms at the limit itself.
    """
    raised_ratios = [factor * limit / (1 - limit + factor * limit) for factor in odds]
    return cusum_bank_against(limit, raised_ratios, mean_blocks)


@dataclass(frozen=True, slots=True)
class LastingAlarm:
    """The evidence after some unit, and whether the alarm lasts.

    Attributes
    ----------
    values : S of each alternative, between 0 and the bound.
    begun : index of the unit after the last 0 of the largest S.
    next : index of the unit that comes next.
    by : place of the alternative that reached the bound; None without an alarm.
    """

    values: tuple[float, ...]
    begin_block: int
    next_block: int
    alternative_index: int | None = None

    @property
    def is_lasting(self) -> bool:
        """Return whether the alarm is raised."""
        return self.alternative_index is not None

    @property
    def statistic(self) -> float:
        """Return the largest CUSUM statistic of the bank's alternatives."""
        return max(self.values)


def begin_alarm(bank: Bank, first_block: int) -> LastingAlarm:
    """Return the state before the first unit: no evidence and no alarm."""
    return LastingAlarm((0.0,) * len(bank.alternatives), first_block, first_block)


def advance_alarm(
    alarm: LastingAlarm, bank: Bank, counts: Iterable[tuple[int, int]], phi: float = 1.0
) -> LastingAlarm:
    """Update the CUSUM statistics and the alarm with the counts of further units of time.

    Parameters
    ----------
    counts : (bad, total) of the units from `alarm.next` on.
    phi : dispersion, at least 1; the evidence is divided by it.
    """
    values, begin_index, index, alarm_index = (
        alarm.values,
        alarm.begin_block,
        alarm.next_block,
        alarm.alternative_index,
    )
    steps = [
        (alternative.per_bad / phi, alternative.per_good / phi) for alternative in bank.alternatives
    ]
    alarm_bound = bank.alarm_bound
    for bad_events, total in counts:
        index += 1
        good_events = total - bad_events
        # Without a generator or calls per value, as a bank follows each block of each market.
        advanced = []
        for statistic, (bad_step, good_step) in zip(values, steps, strict=True):
            evidence = statistic + bad_events * bad_step + good_events * good_step
            advanced.append(0.0 if evidence < 0.0 else min(evidence, alarm_bound))
        values = tuple(advanced)
        if alarm_index is not None and values[alarm_index] < alarm_bound / 2:
            values, alarm_index = (0.0,) * len(values), None
        largest_statistic = max(values)
        if largest_statistic == 0.0:
            begin_index = index
        if alarm_index is None and largest_statistic >= alarm_bound:
            alarm_index = max(
                alternative_index
                for alternative_index, value in enumerate(values)
                if value == largest_statistic
            )
    return LastingAlarm(values, begin_index, index, alarm_index)

"""What each new version of a period brought, from the counts at the end of its canary. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from sluicegate.api.outcome import Outcome
from sluicegate.api.review import DataProductReview, ReviewCandidate, VersionCounts
from sluicegate.api.verdict import ArmCounts, CanaryVerdict
from sluicegate.stats.counts import Count
from sluicegate.views.lift import Lift, change_text, fallen_markets, headline_lift, lift_of


@dataclass(frozen=True, slots=True)
class Brought:
    """The gains and losses of a version whose canary ended in the period.

    Attributes
    ----------
    kept : whether it was promoted and wasn't rolled back in the period.
    lifts : by SLO of which both versions had events. main : the one that its rollout was about.
    """

    version: ReviewCandidate
    kept: bool
    lifts: tuple[Lift, ...]
    main: Lift | None


@dataclass(frozen=True, slots=True)
class Fall:
    """A fall of an SLO in a market that a version's canary proved over all its markets together."""

    version: str
    slo: str
    market: str
    lift: Lift


@dataclass(frozen=True, slots=True)
class TotalLift:
    """The summed gain of one SLO over all versions that remained stable, with its 95 % interval."""

    slo: str
    indicator: str
    versions: int
    gain: float
    lower: float
    upper: float


def brought_of(review: DataProductReview) -> tuple[Brought, ...]:
    """Return the result of each version of a period, the oldest first."""
    lost_versions = {
        (version.version, version.digest)
        for version in review.status.versions
        if version.outcome in {Outcome.ROLLED_BACK, Outcome.FAILED}
    }
    result = []
    for candidate in review.status.candidates:
        lifts = lifts_of(candidate)
        identity = (candidate.version, candidate.digest)
        is_kept = candidate.outcome == Outcome.PROMOTED and identity not in lost_versions
        result.append(Brought(candidate, is_kept, lifts, headline_lift(lifts, candidate.cause_slo)))
    return tuple(result)


def falls_of(versions: Iterable[Brought]) -> tuple[Fall, ...]:
    """Return the falls in markets by the versions that remained stable, the oldest version first."""
    return tuple(
        Fall(result.version.version, slo, market, lift)
        for result in versions
        if result.kept
        for (slo, market), lift in fallen_markets(result.lifts).items()
    )


def largest_fall(falls: Iterable[Fall]) -> Fall:
    """Return the largest fall of at least one."""
    return min(falls, key=lambda fall: fall.lift.gain)


def lifts_of(version: ReviewCandidate | CanaryVerdict) -> tuple[Lift, ...]:
    """Return the change of each SLO for which both versions had events, or rows of a hold-out."""
    lifts = (_lift_between(slo, slo.candidate, slo.stable) for slo in version.slos)
    return tuple(lift for lift in lifts if lift is not None)


def first_period_lift(slo: VersionCounts) -> Lift | None:
    """Return the change of one SLO from the days of the version before; None without events of both."""
    return _lift_between(slo, slo.counts, slo.before)


def _lift_between(slo: ArmCounts | VersionCounts, version: Count, other: Count) -> Lift | None:
    """Return the change of one SLO from another version's events to a version's; None without events of both."""
    return lift_of(
        slo.name,
        version,
        other,
        phi=float(slo.phi),
        indicator=slo.indicator,
        markets=slo.markets,
        hold_out=isinstance(slo, ArmCounts) and slo.hold_out,
    )


def total_lifts(versions: Iterable[Brought]) -> tuple[TotalLift, ...]:
    """Return the sum of the gains of all versions that remained stable, by SLO.

    The canaries are independent of each other, so the squares of the half widths add up. A change on a
    hold-out isn't one of events, and isn't added.
    """
    lifts: dict[str, list[Lift]] = defaultdict(list)
    for version in versions:
        for lift in version.lifts if version.kept else ():
            if not lift.hold_out:
                lifts[lift.slo].append(lift)
    return tuple(_total_lift(name, all_lifts) for name, all_lifts in lifts.items())


def _total_lift(name: str, lifts: Sequence[Lift]) -> TotalLift:
    total_gain = sum(lift.gain for lift in lifts)
    lower_distance = sqrt(sum((lift.gain - lift.lower) ** 2 for lift in lifts))
    upper_distance = sqrt(sum((lift.upper - lift.gain) ** 2 for lift in lifts))
    return TotalLift(
        name,
        lifts[0].indicator,
        len(lifts),
        total_gain,
        total_gain - lower_distance,
        total_gain + upper_distance,
    )


def total_text(total: TotalLift) -> str:
    """Return a sum of gains in words."""
    change = change_text(total.gain, total.lower, total.upper, indicator=total.indicator)
    number = "1 version" if total.versions == 1 else f"{total.versions} versions"
    return f"{total.slo} {change} ({number})"

"""Which upstream's release a degraded SLO follows.

An upstream that keeps its own objectives may still change what it answers, and a model that lives
on its answers becomes worse. A training on the shifted data would adapt the consumer to a fault of
another product, so the release is a cause outside the model, until the upstream serves another
version or a person decides otherwise.

A release is the cause where the bad ratio follows the traffic share of the new version; a change at
another moment is not (`stats.share_response`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import exp, isinf, log
from typing import Final

from sluicegate.api import names
from sluicegate.api.names import DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version
from sluicegate.policy.model.excluded_blocks import (
    BEFORE_BLOCKS,
    BlockSpan,
    spans_of,
)
from sluicegate.policy.model.observed import NO_TRAFFIC, Observed, UpstreamRelease
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.retraining.preconditions import was_alerted
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.policy.slo_health.client_errors import share_for_people
from sluicegate.policy.slo_health.confirmation import CONFIRMING_EVALUATIONS
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.slo.blocks import SINGLE_BLOCKS, Series
from sluicegate.stats.calendar import BLOCKS_PER_HOUR
from sluicegate.stats.canary_duration import warmed_up
from sluicegate.stats.counts import Count
from sluicegate.stats.share_response import (
    FIXED_DELAYS,
    Bin,
    ShareChange,
    ShareResponse,
    share_response,
)
from sluicegate.views.numbers import duration, percent

FOLLOWS: Final = 5.0
"""Natural logarithm of the likelihood ratio from which on a ratio follows a share."""
LIKELY: Final = 1.0
"""The same from which on more blocks are awaited, whenever the drop began."""
OWN: Final = log(500)
"""The same for a change by itself, beside `MOMENTS` times the logarithm of the moments that are tried for it."""
MOMENTS: Final = 1.5
"""One for the moment of the change, and a half for its size, which is estimated again after each block."""
LEAST_RATIO: Final = 0.005
"""Bad ratio below which odds are those of it: the ratio before a change is an estimate."""
BLOCKS_BEFORE: Final = 72
"""Blocks before the release that are compared with those since. More of them would reach back to what
was before an earlier release."""
MAX_HOURS_BEFORE: Final = 24
"""The same in hours, where some of them have no events or are disturbed."""
SINGLE_HOURS: Final = 36
"""Hours from the first one on that are compared singly; later ones are added up to `LATER_SUMS`."""
LATER_SUMS: Final = 24
AWAITED_SHARE: Final = 0.5
"""Part of the time from the drop to its confirmation for which more blocks are awaited after that. Where
the estimate of the begin is early, a decay is still trained for within twice the usual time."""


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """How one SLO responds to an upstream's release.

    Attributes
    ----------
    response : None where the blocks before the release aren't kept any more.
    follows : whether the release is the cause.
    own : whether a change by itself is shown beside it, which a training is for.
    earlier : the message while these blocks were kept; empty where `response` is there.
    awaited_until : time until which a release that isn't the cause may still turn out to be, in seconds.
    is_likely : whether the release explains most of the drop with some evidence, shown or not.
    """

    release: UpstreamRelease
    response: ShareResponse | None
    follows: bool
    own: bool
    earlier: str = ""
    awaited_until: int = 0
    is_likely: bool = False

    @property
    def _rise(self) -> float:
        """Return the part of the bad ratio that the release explains, of one that has ended at its largest share."""
        return 0.0 if self.response is None else rise_of(self.release, self.response)

    def message(self, slo: SloTerms, now: int) -> str:
        """Return the finding as a clause; `now` is in seconds."""
        release, response = self.release, self.response
        if response is None:
            return self.earlier
        release_text = f"the release of {release.product} {release.version}"
        since = f"with its first traffic {duration(now - release.begin)} ago"
        if now < self.awaited_until:
            return f"whether {slo.subject} follows {release_text} ({since}) is not decided yet"
        if not self.follows:
            extra = "not only " if self.own and response.rise > 0 else "not "
            return f"{slo.subject} does {extra}follow {release_text} ({since})"
        origin = f"; {release.origin}" if release.origin else ""
        if release.ended is not None:
            worst = response.without + self._rise
            return (
                f"{slo.subject} follows {release_text} ({since}, {NO_TRAFFIC} since {duration(now - release.ended)},"
                f" before that up to {release.largest} %): {percent(share_for_people(slo, response.without))} without it,"
                f" {percent(share_for_people(slo, worst))} with it{origin}"
            )
        return (
            f"{slo.subject} follows {release_text} ({since}, {release.share} % of its traffic now):"
            f" {percent(share_for_people(slo, response.without))} without it,"
            f" {percent(share_for_people(slo, response.without + response.rise))} now{origin}"
        )


def rise_of(release: UpstreamRelease, response: ShareResponse) -> float:
    """Return the part of the bad ratio that a release explains: at present, or before it ended."""
    if release.ended is None:
        return response.rise
    return (response.at_full - response.without) * release.largest / 100


WAY_OUT_ENDED: Final = (
    "a training would adapt this product to that release, so none starts while labels of that time come; if"
    f" the SLO stays missed, request one by {names.REQUEST_RETRAIN}"
)
WAY_OUT: Final = (
    "a training would adapt this product to that release, so none starts until the upstream serves"
    f" another version; if it stays, request one by {names.REQUEST_RETRAIN}"
)


def responses(
    terms: Terms, status: DataProductStatus, observed: Observed, result: SloResult
) -> tuple[ReleaseResponse, ...]:
    """Return an SLO's response to each release of an upstream, the strongest first.

    A release that was the cause remains so once the blocks before it aren't kept any more.
    """
    stable, diagnosis = status.stable, status.diagnosis
    assert stable is not None
    series = observed.counts(stable.version, result.terms.name)
    if series is None or result.terms.gauge is not None:
        return ()
    was_explained = ""
    if diagnosis is not None and diagnosis.cause == DecisionReason.UPSTREAM_RELEASED:
        was_explained = diagnosis.message
    judged_responses = []
    for release in observed.facts.upstream_releases:
        if _is_over(terms, result.terms, release, observed.block):
            continue
        spans = _spans_before(terms, status, result.terms, release)
        response = _response(terms, stable, observed, result.terms, series, release, spans=spans)
        was_cause = f"{release.product} {release.version} " in was_explained or (
            release.ended is None
            and (
                was_named(terms, status, result.terms.name, release)
                or _is_left_out(terms, status, result.terms.name, release)
            )
        )
        if response is not None:
            now = observed.block * terms.block_seconds
            judged = _judged(result, release, response, was_cause=was_cause, now=now)
            if not judged.follows and not judged.own:
                until = _awaited_until(terms, status, result, judged)
                judged = replace(judged, awaited_until=max(until, judged.awaited_until))
            judged_responses.append(judged)
        elif f"{release.product} {release.version} " in was_explained:
            judged_responses.append(
                ReleaseResponse(release, None, follows=True, own=False, earlier=was_explained)
            )
    return tuple(sorted(judged_responses, key=_strongest_first))


def was_named(terms: Terms, status: DataProductStatus, slo: str, release: UpstreamRelease) -> bool:
    """Return whether a release may be what an earlier alert of this degradation of an SLO is about."""
    streak = status.engine.slo(slo).streak
    if streak is None or release.begin > terms.block_end(streak.first):
        return False
    return was_alerted(terms, status, slo, DecisionReason.UPSTREAM_RELEASED)


def _is_left_out(
    terms: Terms, status: DataProductStatus, slo: str, release: UpstreamRelease
) -> bool:
    """Return whether the blocks since a release are left out, as it was the cause of an earlier degradation.

    A product that recovered for a while with the release in service, and degrades again, follows it still.
    Blocks that are left out begin some hours before their cause, and merge with earlier ones. Where they begin
    much earlier, their cause is an incident before the release.
    """
    begin_block = release.begin // terms.block_seconds
    return any(
        begin_block - 2 * BEFORE_BLOCKS <= span.block_before_first <= begin_block < span.last
        for span in spans_of(status.engine.slo(slo), terms.block_seconds)
    )


def _is_over(terms: Terms, slo: SloTerms, release: UpstreamRelease, block: int) -> bool:
    """Return whether a release ended so long ago that all labels of its time have arrived."""
    if release.ended is None:
        return False
    lag = max(slo.lag_blocks * terms.block_seconds, slo.label_lag_seconds)
    return block * terms.block_seconds > release.ended + lag + SINGLE_BLOCKS * terms.block_seconds


def _strongest_first(each: ReleaseResponse) -> tuple[bool, float]:
    return not each.follows, 0.0 if each.response is None else -each.response.follows


def _judged(
    result: SloResult,
    release: UpstreamRelease,
    response: ShareResponse,
    *,
    was_cause: bool,
    now: int,
) -> ReleaseResponse:
    """Return whether a release is the cause.

    One that was the cause remains so while it explains most of the drop: later noise from hour to hour takes
    nothing from what was shown. Only a change by itself does.
    """
    baseline, slo = result.baseline, result.terms
    accepted = ratio_of(baseline.count) if baseline is not None else (slo.allowed_bad_ratio or 0.0)
    evidence = MOMENTS * log(response.moments) + OWN
    is_change = response.own >= evidence and response.own_rise >= slo.drop
    lasts = response.lasting >= OWN and response.lasting_rise >= slo.drop
    own = is_change and (lasts or _exceeds_label_delays(response))
    is_young = is_change and not own and now < response.decision_time
    rise = rise_of(release, response)
    is_shown = response.follows >= FOLLOWS or (was_cause and response.follows > 0)
    explains = rise >= response.without - accepted
    follows = explains and is_shown and not own and (was_cause or not is_young)
    awaited_until = round(response.decision_time) if is_young and not follows else 0
    is_likely = explains and response.follows >= LIKELY
    return ReleaseResponse(
        release, response, follows, own, awaited_until=awaited_until, is_likely=is_likely
    )


def _exceeds_label_delays(response: ShareResponse) -> bool:
    """Return whether the odds rise by more than labels that come after unequal times explain.

    Where the traffic grows, labels of wrong answers may come before those of right ones; where it falls, those of
    right ones may be missing first. Then all of the change in the number of labels is of one outcome.
    """
    before = min(max(response.without + response.rise, LEAST_RATIO), 1 - 2 * LEAST_RATIO)
    after = min(before + response.own_rise, 1 - LEAST_RATIO)
    odds_factor = after / (1 - after) * (1 - before) / before
    if isinf(response.spread):
        return False
    growth = exp(response.spread)
    more_wrong, fewer_right = 1 + (growth - 1) / before, 1 - (1 - 1 / growth) / (1 - before)
    return odds_factor > more_wrong and odds_factor * fewer_right > 1


def _awaited_until(
    terms: Terms, status: DataProductStatus, result: SloResult, judged: ReleaseResponse
) -> int:
    """Return the time until which it is not decided whether a release is the cause, in seconds; 0 if it is decided.

    A drop that begins with a share of the release, or that it explains with some evidence, and that is no
    change by itself either, waits for more blocks.
    """
    streak, drift = status.engine.slo(result.terms.name).streak, result.drift
    if judged.own or streak is None or drift is None or drift.change_block is None:
        return 0
    seconds = terms.block_seconds
    confirmed = streak.first + CONFIRMING_EVALUATIONS - 1
    lag = max(result.terms.lag_blocks * seconds, result.terms.label_lag_seconds)
    first = drift.change_block - FIXED_DELAYS[-1] - -(-lag // seconds)
    begins_with_share = any(
        first <= time // seconds <= drift.change_block + 1 for time, _ in judged.release.shares
    )
    if not (begins_with_share or judged.is_likely):
        return 0
    return round(confirmed + AWAITED_SHARE * (confirmed - drift.change_block)) * seconds


def _response(  # noqa: PLR0917 - the whole input
    terms: Terms,
    stable: Version,
    observed: Observed,
    slo: SloTerms,
    series: Series,
    release: UpstreamRelease,
    *,
    spans: tuple[BlockSpan, ...],
) -> ShareResponse | None:
    seconds = terms.block_seconds
    begin_block, now = release.begin // seconds, observed.block
    first = max(
        _first_before(series, begin_block, spans),
        warmed_up(stable.promotion_time, seconds),
    )
    lag = max(slo.lag_blocks * seconds, slo.label_lag_seconds)
    bins = _bins(series, first, now, seconds) if first < now else ()
    return share_response(
        [time_bin for time_bin in bins if not _touches(time_bin, spans, seconds)],
        [ShareChange(time, weight / 100) for time, weight in release.shares],
        block_seconds=seconds,
        lag_seconds=lag,
    )


def _spans_before(
    terms: Terms, status: DataProductStatus, slo: SloTerms, release: UpstreamRelease
) -> tuple[BlockSpan, ...]:
    """Return the blocks before a release that another cause disturbed: no level without the release.

    What came after them is evidence: of the release, or of a change by itself.
    """
    begin_block = release.begin // terms.block_seconds
    spans = spans_of(status.engine.slo(slo.name), terms.block_seconds)
    return tuple(
        BlockSpan(span.block_before_first, min(span.last, begin_block))
        for span in spans
        if span.block_before_first < begin_block - BEFORE_BLOCKS
    )


def _first_before(series: Series, begin_block: int, spans: tuple[BlockSpan, ...]) -> int:
    """Return the block after which blocks count as before a release.

    Hours without events, or that another cause disturbed, are replaced by those before them.
    """
    begin_hour, length = begin_block // BLOCKS_PER_HOUR, BLOCKS_BEFORE // BLOCKS_PER_HOUR
    _, totals = series.hours(begin_hour - MAX_HOURS_BEFORE, begin_hour - 1)
    for back, total in enumerate(reversed(totals), start=1):
        block = (begin_hour - back) * BLOCKS_PER_HOUR
        length -= bool(total) and not any(
            span.block_before_first <= block < span.last for span in spans
        )
        if not length:
            return block + begin_block % BLOCKS_PER_HOUR
    return begin_block - MAX_HOURS_BEFORE * BLOCKS_PER_HOUR


def _touches(interval: Bin, spans: tuple[BlockSpan, ...], seconds: int) -> bool:
    return any(
        span.block_before_first * seconds < interval.end and interval.start < span.last * seconds
        for span in spans
    )


def _bins(series: Series, first: int, last: int, seconds: int) -> Iterator[Bin]:
    """Yield the events after block `first`, up to `last`; by hours where single blocks aren't kept."""
    single = last - SINGLE_BLOCKS
    after = first
    if after < single:
        begin_hour, end = -(-after // BLOCKS_PER_HOUR), -(-single // BLOCKS_PER_HOUR)
        later_hour = min(begin_hour + SINGLE_HOURS, end)
        length = max(-(-(end - later_hour) // LATER_SUMS), 1)
        edges = [*range(begin_hour, later_hour), *range(later_hour, end, length), end]
        for hour, until in pairwise(edges):
            bad, total = series.hours(hour, until - 1)
            after = until * BLOCKS_PER_HOUR
            start = hour * BLOCKS_PER_HOUR * seconds
            yield Bin(start, after * seconds, Count(sum(bad), sum(total)))
    for index in range(after + 1, last + 1):
        yield Bin((index - 1) * seconds, index * seconds, series.block(index).count)

"""Which upstream's release a degraded SLO follows.

An upstream that keeps its own objectives may still change what it answers, and a model that lives
on its answers becomes worse. A training on the shifted data would adapt the consumer to a fault of
another product, so the release is a cause outside the model, until the upstream serves another
version or a person decides otherwise.

A release is the cause where the bad ratio follows the traffic share of the new version; a change at
another moment is not (`stats.share_response`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Final

from sluicegate.api import names
from sluicegate.api.versions import Version
from sluicegate.policy.model.observed import Observed, UpstreamRelease
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.policy.slo_health.client_errors import shown
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.slo.blocks import SINGLE_BLOCKS, Series
from sluicegate.stats.calendar import BLOCKS_PER_HOUR
from sluicegate.stats.canary_duration import warmed_up
from sluicegate.stats.share_response import Bin, ShareChange, ShareResponse, response_to
from sluicegate.views.numbers import duration, percent

FOLLOWS: Final = 5.0
"""Natural logarithm of the likelihood ratio from which on a ratio follows a share."""
OWN: Final = log(100)
"""The same for a change by itself, beside the logarithm of the moments that are tried for it."""
BLOCKS_BEFORE: Final = 24
"""Blocks before the release that are compared at least; as many as it lasts, if that is more."""


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """How one SLO responds to an upstream's release.

    Attributes
    ----------
    follows : whether the release is the cause.
    own : whether a change by itself is shown beside it, which a training is for.
    """

    release: UpstreamRelease
    response: ShareResponse
    follows: bool
    own: bool

    def message(self, slo: SloTerms, now: int) -> str:
        """Return what was found, in a clause; `now` is in seconds."""
        release, response = self.release, self.response
        what = f"the release of {release.product} {release.version}"
        since = f"with its first traffic {duration(now - release.begin)} ago"
        if not self.follows:
            extra = "not only " if self.own and response.rise > 0 else "not "
            return f"{slo.subject} does {extra}follow {what} ({since})"
        return (
            f"{slo.subject} follows {what} ({since}, {release.share} % of its traffic now):"
            f" {percent(shown(slo, response.without))} without it,"
            f" {percent(shown(slo, response.at_full))} with all of its traffic on it"
        )


WAY_OUT: Final = (
    "a training would adapt this product to that release, so none starts until the upstream serves"
    f" another version; if it stays, request one by {names.REQUEST_RETRAIN}"
)


def responses(
    terms: Terms, stable: Version, observed: Observed, result: SloResult
) -> tuple[ReleaseResponse, ...]:
    """Return how an SLO responds to each release of an upstream, those that it follows first."""
    series = observed.counts(stable.version, result.terms.name)
    if series is None or result.terms.gauge is not None:
        return ()
    judged = [
        _judged(result, release, response)
        for release in observed.facts.upstream_releases
        if (response := _response(terms, stable, observed, result.terms, series, release))
    ]
    return tuple(sorted(judged, key=lambda each: (not each.follows, -each.response.follows)))


def _judged(
    result: SloResult, release: UpstreamRelease, response: ShareResponse
) -> ReleaseResponse:
    baseline, slo = result.baseline, result.terms
    accepted = ratio_of(baseline.count) if baseline is not None else (slo.allowed_bad or 0.0)
    own = response.own >= log(response.moments) + OWN and response.own_rise >= slo.drop
    explains = response.follows >= FOLLOWS and response.rise >= response.without - accepted
    return ReleaseResponse(release, response, explains and not own, own)


def _response(  # noqa: PLR0917 - the whole input
    terms: Terms,
    stable: Version,
    observed: Observed,
    slo: SloTerms,
    series: Series,
    release: UpstreamRelease,
) -> ShareResponse | None:
    seconds = terms.block_seconds
    begin, now = release.begin // seconds, observed.block
    first = max(
        begin - max(BLOCKS_BEFORE, now - begin),
        warmed_up(stable.promotion_time, seconds),
    )
    lag = max(slo.lag_blocks * seconds, slo.label_lag_seconds)
    return response_to(
        tuple(_bins(series, first, now, seconds)),
        [ShareChange(time, weight / 100) for time, weight in release.shares],
        block_seconds=seconds,
        lag_seconds=lag,
    )


def _bins(series: Series, first: int, last: int, seconds: int) -> Iterator[Bin]:
    """Yield the events after block `first`, up to `last`; by the hour where single blocks aren't kept."""
    after = first
    while after < last - SINGLE_BLOCKS:
        hour = -(-after // BLOCKS_PER_HOUR)
        after = (hour + 1) * BLOCKS_PER_HOUR
        yield Bin(after * seconds - BLOCKS_PER_HOUR * seconds, after * seconds, series.hour(hour))
    for index in range(after + 1, last + 1):
        yield Bin((index - 1) * seconds, index * seconds, series.block(index).count)

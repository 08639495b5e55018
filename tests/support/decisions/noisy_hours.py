"""One SLO about labels whose bad ratio scatters from hour to hour, hour by hour until it is Missed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Release, Version, VersionSource
from sluicegate.policy.model.observed import NO_OTHER_PRODUCTS, Observed
from sluicegate.policy.model.terms import terms_of
from sluicegate.policy.slo_health.baseline import from_evaluation
from sluicegate.policy.slo_health.evaluate_slos import judge_stable
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS_A_DAY
from sluicegate.stats.counts import Count
from tests.support.decisions.scenarios import product

if TYPE_CHECKING:
    from typing import Any

RATIO = 0.1
LABELS = 600
"""An hour."""
HOLD_OUT = 2_000


class Noise(NamedTuple):
    """How the bad ratio moves.

    Attributes
    ----------
    sigma : standard deviation from hour to hour. season : amplitude of a day.
    drop : rise of the bad ratio from hour `since` on.
    """

    sigma: float = 0.0
    season: float = 0.0
    drop: float = 0.0
    since: int = 0


def first_missed(slo: dict[str, Any], noise: Noise, *, hours: int, seed: int) -> int | None:
    """Return the hour after which the SLO is Missed for the first time; None if it never is.

    It is judged at the end of each hour, so that confirmation takes nothing away: an upper bound of
    the retrainings.
    """
    source = np.random.default_rng(seed)
    terms = terms_of(DataProduct.parse(product(slo, retraining=None)))
    accepted = {slo["name"]: Count(int(source.binomial(HOLD_OUT, RATIO)), HOLD_OUT)}
    status = DataProductStatus(
        stable=Version.of(
            Release("v1"),
            VersionSource.SPEC,
            promotion_time=0,
            baseline=from_evaluation(accepted, terms.slos, 0),
        )
    )
    series, index = Series(), 0
    for hour in range(hours):
        level = RATIO + source.normal() * noise.sigma
        level += noise.season * math.sin(2 * math.pi * hour / HOURS_A_DAY)
        level += noise.drop * (hour >= noise.since)
        totals = source.poisson(LABELS / BLOCKS_PER_HOUR, BLOCKS_PER_HOUR)
        bads = source.binomial(totals, min(max(level, 0.001), 0.999))
        for bad, total in zip(bads.tolist(), totals.tolist(), strict=True):
            index += 1
            series.record(Block(index, Quality.COUNTED, Count(bad, total)))
        assert status.stable is not None
        observed = Observed(
            block=index, series={"v1": {slo["name"]: series}}, portfolio=NO_OTHER_PRODUCTS
        )
        (result, *_), status = judge_stable(terms, status, status.stable, observed)
        if result.state == "Missed":
            return hour + 1
    return None

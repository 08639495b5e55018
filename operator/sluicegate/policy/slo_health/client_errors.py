"""The share of client errors, by which each canary and each probation is judged beside the product's SLOs.

A version that changes its API misses no SLO: its 4xx are failures for clients, but the product
counts them as the clients' own. So its share of 4xx is compared with stable's in the same blocks,
by the test of SLOs; 4xx of both versions are no evidence. It is a veto: the share must be shown not
to be larger by the margin, and that alone promotes no candidate (docs/adr/0004).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.slos import CanaryEvidence, IndicatorKind, OnDegraded, Seasonality
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version
from sluicegate.policy.model.excluded_blocks import spans_of
from sluicegate.policy.model.observed import CanaryBlock, Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health import probation
from sluicegate.policy.slo_health.data_quality import evidence_since
from sluicegate.policy.slo_health.ratio_slo import SloResult, shown_block_count
from sluicegate.slo.blocks import Quality, Series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.calendar import Calendar
from sluicegate.stats.paired import Pairs

MIN_MARGIN: Final = 0.01
MAX_MARGIN: Final = 0.05
_RECENT_BLOCKS: Final = 12


def judged_slos(
    terms: Terms, blocks: Sequence[CanaryBlock], pairs: Mapping[str, Pairs]
) -> tuple[SloTerms, ...]:
    """Return the SLOs that judge a candidate: the deciding ones, and client errors where they are counted.

    Parameters
    ----------
    pairs : of the candidate's hold-out, by SLO.
    """
    is_counted = any(
        block.stable[CLIENT_ERRORS].quality is Quality.COUNTED
        for block in reversed(blocks)
        if CLIENT_ERRORS in block.stable
    )
    return (*terms.deciding, client_errors(terms, pairs)) if is_counted else terms.deciding


def client_errors(terms: Terms, pairs: Mapping[str, Pairs] | None = None) -> SloTerms:
    """Return the terms of the share of client errors.

    The margin is that of availability, where an SLO has one, between one and five points: so both
    need as many requests, and a product that tolerates failures isn't held up by its 4xx. Without
    one it is the smallest margin of the SLOs about the answers: a request that is refused is worth
    no more to its client than one that is answered wrongly.

    Parameters
    ----------
    pairs : of a candidate's hold-out, by SLO; where no person chose a margin, it follows from them.
    """
    rows = pairs or {}
    margins = [slo.margin for slo in terms.slos if slo.kind is IndicatorKind.AVAILABILITY]
    if not margins:
        answers = [slo for slo in terms.deciding if slo.measures_quality]
        margins = [min((slo.margin_by(rows.get(slo.name)) for slo in answers), default=MIN_MARGIN)]
    return _client_errors(min(max([MIN_MARGIN, *margins]), MAX_MARGIN), terms.calendar)


def is_implicit(slo: SloTerms) -> bool:
    """Return whether the SLO isn't in the spec."""
    return slo.name == CLIENT_ERRORS


def share_for_people(slo: SloTerms, bad_ratio: float) -> float:
    """Return the share to display: the bad share of client errors, the good share of other SLOs."""
    return bad_ratio if is_implicit(slo) else 1 - bad_ratio


def judge_client_errors(
    terms: Terms,
    status: DataProductStatus,
    stable: Version,
    series: Mapping[str, Series],
    *,
    observed: Observed,
) -> SloResult | None:
    """Judge client errors on probation: Missed once their share is worse than the previous version's.

    None while it isn't: no SLO of the spec is meant, so as long as all is well nothing is shown.
    """
    probation_baseline = status.probation and status.engine.probation_baselines.get(CLIENT_ERRORS)
    blocks, record = series.get(CLIENT_ERRORS), status.engine.slo(CLIENT_ERRORS)
    if not probation_baseline or blocks is None or observed.problem is not None:
        return None
    if spans := spans_of(record, terms.block_seconds):
        blocks = blocks.without(spans)
    slo, now = client_errors(terms), observed.block
    if blocks.block(now).quality is not Quality.COUNTED:
        return None
    shown_since = stable.promotion_time // terms.block_seconds
    met_result = SloResult(
        slo,
        SloState.MET,
        Reason.WITHIN_OBJECTIVE,
        blocks.window(now, slo.recent, shown_since),
        probation_baseline,
        is_fresh=blocks.block(now).count.total > 0,
        is_calm=True,
        shown_blocks=shown_block_count(slo, now, shown_since),
    )
    since = evidence_since(terms, status, stable, slo)
    result = probation.judge(met_result, blocks, probation_baseline, now=now, since=since)
    return result if result.state is SloState.MISSED or record.streak or record.degraded else None


@lru_cache(maxsize=64)
def _client_errors(margin: float, calendar: Calendar) -> SloTerms:
    return SloTerms(
        name=CLIENT_ERRORS,
        kind=IndicatorKind.AVAILABILITY,
        on_degraded=OnDegraded.ALERT,
        canary_evidence=CanaryEvidence.IF_AVAILABLE,
        seasonality=Seasonality.AUTO,
        objective=None,
        allowed_bad_ratio=None,
        drop=2 * margin,
        is_drop_given=True,
        margin=margin,
        lag_blocks=0,
        thresholds=(),
        recent=_RECENT_BLOCKS,
        gauge=None,
        hash=CLIENT_ERRORS,
        indicator_hash=CLIENT_ERRORS,
        calendar=calendar,
    )

"""Evidence of the shadow phase on a candidate: both versions on rows labelled after the training.

A labelled request that the candidate answered is a row of the shadow phase, too. So for an SLO
that it scores, the canary's counts are evidence against a candidate alone (docs/adr/0018).
"""

from collections.abc import Mapping
from math import inf
from typing import Final

from sluicegate.api.base import number
from sluicegate.api.shadow import ShadowEvidence, ShadowStatus
from sluicegate.api.versions import Candidate
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health.client_errors import is_implicit
from sluicegate.stats.paired import PairedEvidence, Pairs, paired_evidence
from sluicegate.stats.paired_blocks import (
    NO_ROWS,
    BlockEvidence,
    add_pairs,
    discordance,
    expected_blocks,
    expected_rows,
)
from sluicegate.stats.sequential_test import promotion_bound

USUAL_DISCORDANCE: Final = 0.1
"""Share of rows on which one version alone is right, until rows are known."""


def is_scored(terms: Terms, slo: SloTerms) -> bool:
    """Return whether a shadow phase scores the SLO: a quality SLO of the spec.

    Of mirrored requests outcomes are: an event, as a click, may be what the answer brought about.
    """
    can_be_scored = terms.mirrored is None or slo.definition.from_truths
    return can_be_scored and slo.measures_quality and slo.deciding and not is_implicit(slo)


def rows_per_second(terms: Terms, labels_per_second: float) -> float:
    """Return the labelled rows per second that both versions score: of all, or of mirrored requests.

    Of these, requests that the candidate answers at the last share aren't.
    """
    if terms.mirrored is None:
        return labels_per_second
    return labels_per_second * terms.mirrored * (1 - max(terms.steps) / 100)


def is_shadowed(terms: Terms, candidate: Candidate, slo: SloTerms) -> bool:
    """Return whether the shadow phase, rather than the canary's counts, decides about the SLO.

    Each one that it may score does until a result names any; from then on, those that are named.
    """
    if terms.shadow_seconds is None or not is_scored(terms, slo):
        return False
    scored_names = (
        {evidence.slo for evidence in candidate.shadow.evidence} if candidate.shadow else set[str]()
    )
    return not scored_names or slo.name in scored_names


def hold_out_of(slo: SloTerms, candidate: Candidate) -> PairedEvidence | None:
    """Return the evidence of the hold-out's rows, from before the training's end; None without any."""
    rows = candidate.pairs.get(slo.name)
    return None if rows is None else paired_evidence(rows, slo.margin_by(rows))


def evidence_of(slo: SloTerms, candidate: Candidate) -> BlockEvidence:
    """Return the evidence of the rows so far; none for an SLO that has changed since."""
    rows = candidate.shadow.evidence if candidate.shadow else ()
    evidence = next(
        (
            evidence
            for evidence in rows
            if (evidence.slo, evidence.terms_hash) == (slo.name, slo.hash)
        ),
        None,
    )
    if evidence is None:
        return BlockEvidence()
    return BlockEvidence(
        evidence.pairs,
        evidence.blocks,
        evidence.squares,
        evidence.promote,
        evidence.roll_back,
        evidence.better,
    )


def with_rows(
    terms: Terms, candidate: Candidate, shadow: ShadowStatus, pairs: Mapping[str, Pairs]
) -> ShadowStatus:
    """Return the shadow phase with the rows of one more interval, which ended at `shadow.until_time`.

    Parameters
    ----------
    pairs : rows by SLO; those of names that the spec no longer has don't count.
    """
    earlier_evidence = {evidence.slo: evidence for evidence in shadow.evidence}
    for slo in terms.slos:
        if slo.name in pairs and is_scored(terms, slo):
            rows = candidate.pairs.get(slo.name)
            next_evidence = evidence_of(slo, candidate.replace(shadow=shadow)).with_block(
                pairs[slo.name], slo.margin_by(rows), rows or NO_ROWS
            )
            earlier_evidence[slo.name] = ShadowEvidence(
                slo=slo.name,
                terms_hash=slo.hash,
                blocks=next_evidence.blocks,
                pairs=next_evidence.pairs,
                squares=next_evidence.squared_shifts,
                correlation=number(next_evidence.correlation()),
                promote=next_evidence.promote_evidence,
                roll_back=next_evidence.roll_back,
                better=next_evidence.better_evidence,
            )
    return shadow.replace(
        since_time=shadow.since_time if shadow.until_time is None else shadow.until_time,
        blocks=shadow.blocks + 1,
        evidence=tuple(
            earlier_evidence[slo.name] for slo in terms.slos if slo.name in earlier_evidence
        ),
    )


def planned_shadow_seconds(
    interval: int,
    labels_per_second: float,
    *,
    margin: float,
    evidence: float = 0.0,
    rows: Pairs | None = None,
) -> float:
    """Return the mean seconds until an equal candidate passes by the shadow phase alone; infinite without labels.

    Parameters
    ----------
    interval : in seconds. labels_per_second : those that make a row. margin : δ. known : ln E that is there before.
    rows : earlier ones that both versions were scored on.
    """
    if not labels_per_second:
        return inf
    psi = discordance(rows) if rows is not None and rows.total else USUAL_DISCORDANCE
    needed = expected_rows(psi, margin, promotion_bound(1, 1) - evidence)
    return interval * expected_blocks(labels_per_second * interval, needed)


def expected_shadow_seconds(
    interval: int,
    candidate: Candidate,
    labels_per_second: float,
    *,
    shadow: BlockEvidence,
    margin: float,
    evidence: float,
    rows: Pairs | None,
) -> float:
    """Return the mean seconds of a shadow phase for the present candidate, from its counted rows.

    Parameters
    ----------
    labels_per_second : those that make a row, as Prometheus counts them; 0 where it counts none.
    shadow : the evidence so far.
    """
    seconds_taken = candidate.shadow.since_time - candidate.start_time if candidate.shadow else 0
    rate = shadow.pairs.total / seconds_taken if seconds_taken > 0 else 0.0
    return planned_shadow_seconds(
        interval,
        max(labels_per_second, rate),
        margin=margin,
        evidence=evidence,
        rows=add_pairs(shadow.pairs, rows or NO_ROWS),
    )

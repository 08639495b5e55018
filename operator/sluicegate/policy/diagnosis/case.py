"""A degraded SLO of the stable version, with what its treatment is chosen by."""

from collections.abc import Mapping
from dataclasses import dataclass

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import PastVersion
from sluicegate.policy.diagnosis.checks import DiagnosisResult
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.retraining import labels
from sluicegate.policy.slo_health.market_verdicts import MarketState, describe_market
from sluicegate.policy.slo_health.messages import capitalised, describe, numbers_of
from sluicegate.policy.slo_health.ratio_slo import SloResult


@dataclass(frozen=True, slots=True)
class Case:
    """One degraded SLO, with the input of its remedy.

    Attributes
    ----------
    result : what it shows. trigger : name of this degradation.
    diagnosis : its cause. now : in seconds.
    before : the version that a rollback would restore; None when none is kept.
    objection : why that version is no remedy; empty if it is one.
    suspected : whether the stable version, and not its surroundings, is suspected as the cause.
    market : the market that misses the SLO alone; None where the SLO itself is degraded.
    """

    terms: Terms
    status: DataProductStatus
    observed: Observed
    result: SloResult
    trigger: str
    diagnosis: DiagnosisResult
    now: int
    before: PastVersion | None = None
    objection: str = ""
    suspected: bool = True
    market: MarketState | None = None

    @property
    def may_return(self) -> bool:
        """Return whether status has an earlier version that would be a remedy."""
        return self.before is not None and not self.objection and self.suspected

    def label_share_since(self, moment: int) -> float:
        """Return the share of the events needed to detect a drop that arrived after `moment`, in seconds."""
        slo = self.result.terms
        baseline = None if self.result.baseline is None else self.result.baseline.count
        return labels.events_since(
            self.terms, self.observed, slo.name, moment
        ) / labels.needed_events(slo, baseline)

    @property
    def degraded_since(self) -> int | None:
        """Return the end of the first bad block, in seconds."""
        if self.market is not None:
            return self.market.since
        streak = self.status.engine.slo(self.result.terms.name).streak
        return None if streak is None else self.terms.block_end(streak.first)

    @property
    def text(self) -> str:
        """Return the SLO's numbers as the first words of a message."""
        if self.market is not None:
            return capitalised(describe_market(self.result.terms, self.market))
        return capitalised(describe(self.result, self.terms.block_seconds))

    @property
    def numbers(self) -> Mapping[str, float]:
        """Return the numbers of the text, by name."""
        if self.market is not None:
            count = self.market.count
            return {"bad": count.bad, "total": count.total, "allowed": self.market.allowed_ratio}
        return numbers_of(self.result)

    @property
    def changed(self) -> int | None:
        """Return the estimated time of the change, in seconds; older data are from before it."""
        if self.market is not None:
            return self.market.since
        drift = self.result.drift
        if drift is None or drift.change_block is None:
            return None
        return self.terms.block_end(drift.change_block)

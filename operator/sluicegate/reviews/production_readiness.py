"""Checks of a product's readiness for production, and its valid exemptions. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sluicegate.api.accountability import RiskClass
from sluicegate.api.product import DataProductSpec
from sluicegate.api.product_info import PRODUCT_MANAGER
from sluicegate.api.review import (
    CheckState,
    Cycle,
    Exemption,
    ReadinessCheck,
    ReviewCheck,
    ReviewCycle,
)
from sluicegate.api.status import DataProductStatus
from sluicegate.slo.indicators import INDICATORS

LEAST_DAYS: Final = 183
"""Six months, for which a deployer of a model must keep its records (EU AI Act, article 26)."""
MONTH: Final = 30.44 * 86_400
"""Mean seconds of a month."""
_DAYS: Final = {Cycle.WEEK: 7, Cycle.FOUR_WEEKS: 28, Cycle.MONTH: 30, Cycle.QUARTER: 91}

Missing = tuple[ReadinessCheck, str]
"""A check with the way out; an empty text if it passes."""


def checks(spec: DataProductSpec) -> tuple[Missing, ...]:
    """Return each check of a product."""
    team = spec.team.members if spec.team else ()
    managed = any(one.role == PRODUCT_MANAGER for one in team)
    description = spec.description
    carded = description is not None and bool(
        description.purpose and description.limitations and description.usage
    )
    linked = {link.type for link in spec.links}
    has_outcome_slo = any(INDICATORS[slo.indicator.kind].from_truths for slo in spec.slos)
    pinned = "@sha256:" in (spec.serving.runtime_image or "")
    cycle = spec.review
    keeps_long_enough = cycle is not None and cycle.keep * _DAYS[cycle.every] >= LEAST_DAYS
    risk = spec.compliance.risk_class if spec.compliance else RiskClass.UNASSESSED
    rows = (
        (ReadinessCheck.PRODUCT_MANAGER, managed, f"add a {PRODUCT_MANAGER} to spec.team.members"),
        (ReadinessCheck.MODEL_CARD, carded or "ModelCard" in linked,
         "write purpose, limitations and usage into spec.description, or link a ModelCard"),
        (ReadinessCheck.RUNBOOK, "Runbook" in linked,
         "add a link of type Runbook to spec.links"),
        (ReadinessCheck.OUTCOME_SLO, has_outcome_slo,
         "add an SLO on outcomes: nothing else measures whether the model is right"),
        (ReadinessCheck.FEEDBACK_KEY, spec.serving.feedback is not None,
         "set spec.serving.feedback.secretRef: without it no label is accepted"),
        (ReadinessCheck.RUNTIME_BY_DIGEST, pinned, "name spec.serving.runtimeImage by its digest"),
        (ReadinessCheck.RETENTION, keeps_long_enough,
         "raise spec.review.keep to six months of reviews, or archive them"),
        (ReadinessCheck.RISK_ASSESSED, risk is not RiskClass.UNASSESSED,
         "set spec.compliance.riskClass"),
    )  # fmt: skip
    return tuple((check, "" if met else way_out) for check, met, way_out in rows)


@dataclass(frozen=True, slots=True)
class Renewal:
    """The stable version with its promotion, and the newest time at which a version was tried."""

    version: str
    promotion_time: int
    tried_time: int


def renewal_of(status: DataProductStatus) -> Renewal | None:
    """Return when a version was last promoted and tried; None before a version serves."""
    stable = status.stable
    if stable is None:
        return None
    times_tried = [stable.promotion_time, *(one.end_time for one in status.history)]
    if status.candidate is not None:
        times_tried.append(status.candidate.start_time)
    if status.retraining is not None and status.retraining.last_result is not None:
        times_tried.append(status.retraining.last_result.completion_time)
    return Renewal(stable.version, stable.promotion_time, max(times_tried))


def age_checks(renewal: Renewal | None, cycle: ReviewCycle, now: float) -> tuple[Missing, ...]:
    """Return the checks of the model's age; none before a version serves.

    The data of a version is older than its promotion, so that is the least age of the data.
    """
    if renewal is None:
        return ()
    months_since_trial, months_since_training = (
        (now - at) / MONTH for at in (renewal.tried_time, renewal.promotion_time)
    )
    old_model = (
        f"no new version or challenger was tried for {months_since_trial:.0f} months: push a version, or set"
        " spec.retraining.schedule"
    )
    old_data = (
        f"{renewal.version} became stable {months_since_training:.0f} months ago, so its training data is older:"
        " retrain it on newer rows"
    )
    return (
        (ReadinessCheck.RENEWED, old_model if months_since_trial >= cycle.renewal_months else ""),
        (
            ReadinessCheck.RECENT_DATA,
            old_data if months_since_training >= cycle.data_months else "",
        ),
    )


def judged_on(
    checked: Iterable[Missing], exemptions: Iterable[Exemption], today: str
) -> tuple[ReviewCheck, ...]:
    """Return the results of the checks for the ledger on a day, such as 2026-12-31."""
    allowed = {exemption.check: exemption for exemption in exemptions}
    return tuple(_judged(name, way_out, allowed.get(name), today) for name, way_out in checked)


def _judged(
    name: ReadinessCheck, way_out: str, exemption: Exemption | None, today: str
) -> ReviewCheck:
    state, text = CheckState.MISSING, way_out
    if not way_out:
        state = CheckState.MET
    elif exemption is not None and exemption.end_date < today:
        text = f"its exemption ended on {exemption.end_date}: {way_out}"
    elif exemption is not None:
        state, text = CheckState.EXEMPT, f"until {exemption.end_date}: {exemption.reason}"
    return ReviewCheck(name=str(name), state=state, message=text)

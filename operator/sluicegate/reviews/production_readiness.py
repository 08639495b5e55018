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

MIN_RETENTION_DAYS: Final = 183
"""Six months, for which a deployer of a model must keep its records (EU AI Act, article 26)."""
MONTH: Final = 30.44 * 86_400
"""Mean seconds of a month."""
_DAYS: Final = {Cycle.WEEK: 7, Cycle.FOUR_WEEKS: 28, Cycle.MONTH: 30, Cycle.QUARTER: 91}

ReadinessResult = tuple[ReadinessCheck, str]
"""A check with the way out; an empty text if it passes."""


def readiness_checks(spec: DataProductSpec, runtime_image: str) -> tuple[ReadinessResult, ...]:
    """Return each check of a product; `runtime_image` is that of its stable version, if there is one.

    A product without an image of its own runs in the operator's.
    """
    team = spec.team.members if spec.team else ()
    has_product_manager = any(member.role == PRODUCT_MANAGER for member in team)
    description = spec.description
    has_model_card = description is not None and bool(
        description.purpose and description.limitations and description.usage
    )
    link_types = {link.type for link in spec.links}
    has_outcome_slo = any(INDICATORS[slo.indicator.kind].from_truths for slo in spec.slos)
    is_image_pinned = "@sha256:" in (spec.serving.runtime_image or runtime_image)
    review_cycle = spec.review
    is_kept_long_enough = (
        review_cycle is not None
        and review_cycle.keep * _DAYS[review_cycle.every] >= MIN_RETENTION_DAYS
    )
    risk_class = spec.compliance.risk_class if spec.compliance else RiskClass.UNASSESSED
    rows = (
        (ReadinessCheck.PRODUCT_MANAGER, has_product_manager, f"add a {PRODUCT_MANAGER} to spec.team.members"),
        (ReadinessCheck.MODEL_CARD, has_model_card or "ModelCard" in link_types,
         "write purpose, limitations and usage into spec.description, or link a ModelCard"),
        (ReadinessCheck.RUNBOOK, "Runbook" in link_types,
         "add a link of type Runbook to spec.links"),
        (ReadinessCheck.OUTCOME_SLO, has_outcome_slo,
         "add an SLO on outcomes: nothing else measures whether the model is right"),
        (ReadinessCheck.FEEDBACK_KEY, spec.serving.feedback is not None,
         "set spec.serving.feedback.secretRef: without it no label is accepted"),
        (ReadinessCheck.RUNTIME_BY_DIGEST, is_image_pinned, "name spec.serving.runtimeImage by its digest"),
        (ReadinessCheck.RETENTION, is_kept_long_enough,
         "raise spec.review.keep to six months of reviews, or archive them"),
        (ReadinessCheck.RISK_ASSESSED, risk_class is not RiskClass.UNASSESSED,
         "set spec.compliance.riskClass"),
    )  # fmt: skip
    return tuple((check, "" if is_met else way_out) for check, is_met, way_out in rows)


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
    times_tried = [
        stable.promotion_time,
        *(past_version.end_time for past_version in status.history),
    ]
    if status.candidate is not None:
        times_tried.append(status.candidate.start_time)
    if status.retraining is not None and status.retraining.last_result is not None:
        times_tried.append(status.retraining.last_result.completion_time)
    return Renewal(stable.version, stable.promotion_time, max(times_tried))


def age_checks(
    model_renewal: Renewal | None, review_cycle: ReviewCycle, now: float
) -> tuple[ReadinessResult, ...]:
    """Return the checks of the model's age; none before a version serves.

    The data of a version is older than its promotion, so that is the least age of the data.
    """
    if model_renewal is None:
        return ()
    months_since_trial, months_since_training = (
        (now - event_time) / MONTH
        for event_time in (model_renewal.tried_time, model_renewal.promotion_time)
    )
    is_model_old = (
        f"no new version or challenger was tried for {months_since_trial:.0f} months: push a version, or set"
        " spec.retraining.schedule"
    )
    is_data_old = (
        f"{model_renewal.version} became stable {months_since_training:.0f} months ago, so its training data is older:"
        " retrain it on newer rows"
    )
    return (
        (
            ReadinessCheck.RENEWED,
            is_model_old if months_since_trial >= review_cycle.renewal_months else "",
        ),
        (
            ReadinessCheck.RECENT_DATA,
            is_data_old if months_since_training >= review_cycle.data_months else "",
        ),
    )


def checks_judged_on(
    check_results: Iterable[ReadinessResult], exemptions: Iterable[Exemption], today_date: str
) -> tuple[ReviewCheck, ...]:
    """Return the results of the checks for the ledger on a day, such as 2026-12-31."""
    exemption_by_check = {check_exemption.check: check_exemption for check_exemption in exemptions}
    return tuple(
        _judged_check(name, way_out, exemption_by_check.get(name), today_date)
        for name, way_out in check_results
    )


def _judged_check(
    name: ReadinessCheck, way_out: str, check_exemption: Exemption | None, today_date: str
) -> ReviewCheck:
    state, text = CheckState.MISSING, way_out
    if not way_out:
        state = CheckState.MET
    elif check_exemption is not None and check_exemption.end_date < today_date:
        text = f"its exemption ended on {check_exemption.end_date}: {way_out}"
    elif check_exemption is not None:
        state, text = (
            CheckState.EXEMPT,
            f"until {check_exemption.end_date}: {check_exemption.reason}",
        )
    return ReviewCheck(name=str(name), state=state, message=text)

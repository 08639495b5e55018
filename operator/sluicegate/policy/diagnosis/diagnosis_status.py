"""The diagnosis of a degraded product as its status has it, which the next evaluation reads."""

from sluicegate.api.status import Diagnosis, DiagnosisEvidence
from sluicegate.policy.diagnosis.checks import DiagnosisResult


def diagnosis_status(
    before: Diagnosis | None, cause: DiagnosisResult | None, now: int
) -> Diagnosis | None:
    """Return the diagnosis for status; None for a product that isn't degraded.

    Parameters
    ----------
    before : diagnosis in status; the time of the same cause is kept. now : in seconds.
    """
    if cause is None:
        return None
    cause_and_market = (str(cause.cause), cause.market)
    same_cause = before is not None and (before.cause, before.market) == cause_and_market
    return Diagnosis(
        cause=str(cause.cause),
        market=cause.market,
        message=cause.message,
        diagnosis_time=before.diagnosis_time if same_cause and before is not None else now,
        evidence=tuple(
            DiagnosisEvidence(
                check=str(finding.check), verdict=finding.verdict, message=finding.message
            )
            for finding in cause.findings
        ),
    )

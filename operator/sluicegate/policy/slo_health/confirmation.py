"""From verdicts to a state: an alarm has to last before anything is done, and so has recovery.

A rule that acts on each evaluation enters and leaves "degraded" two hundred times a month for a
product that sits exactly on its objective; with confirmation and hysteresis it does so once.
"""

from collections.abc import Iterable
from typing import Final

from sluicegate.api.engine import ProductState, SloRecord, Streak
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.stats.calendar import Calendar

CONFIRMING_EVALUATIONS: Final = 3
CONFIRMING_BLOCKS: Final = 2
"""Of them with new events."""
CALM_HOURS: Final = 1
CALM_BLOCKS: Final = 12
"""Evaluations that an hour of calm has at least, where its blocks are long."""
UNMEASURABLE: Final = frozenset({Reason.NO_FEEDBACK_KEY, Reason.NO_LABELS})
"""Why an SLO is Unknown until a person does something: the product isn't Healthy meanwhile."""
UNRELATED_BLOCKS: Final = 50_000
"""A streak so far away was counted in blocks of another length, or is over for half a year."""


def confirm(record: SloRecord, result: SloResult, *, block: int, block_end: int) -> SloRecord:
    """Return the kept state of an SLO after this evaluation.

    Unknown neither counts towards confirmation or recovery nor resets it. An evaluation of a
    block that was counted already changes nothing, however often a reconcile comes by.
    """
    if result.state is SloState.UNKNOWN:
        return record
    return _with_steady_start(_with_confirmation(record, result, block), result, block_end)


def _with_confirmation(record: SloRecord, result: SloResult, block: int) -> SloRecord:
    if record.degraded:
        return _with_recovery(record, result, block)
    if result.state is not SloState.MISSED:
        return record if record.streak is None else record.replace(streak=None)
    streak = _extended_streak(record.streak, block, fresh=result.is_fresh)
    confirmed = streak.evaluations >= CONFIRMING_EVALUATIONS and streak.fresh >= CONFIRMING_BLOCKS
    return record.replace(streak=streak, degraded=confirmed)


def _with_recovery(record: SloRecord, result: SloResult, block: int) -> SloRecord:
    if not result.is_calm:
        return record if record.recovery_streak is None else record.replace(recovery_streak=None)
    recovery_streak = _extended_streak(record.recovery_streak, block, fresh=result.is_fresh)
    if recovery_streak.evaluations >= needed_calm(result.terms.calendar):
        return record.replace(streak=None, degraded=False, recovery_streak=None)
    return record.replace(recovery_streak=recovery_streak)


def needed_calm(calendar: Calendar) -> int:
    """Return the number of evaluations in a row after which an SLO has recovered."""
    return max(calendar.blocks(CALM_HOURS), CALM_BLOCKS)


def _extended_streak(streak: Streak | None, block: int, *, fresh: bool) -> Streak:
    if streak is None or abs(block - streak.last) > UNRELATED_BLOCKS:
        return Streak(first=block, last=block, evaluations=1, fresh=int(fresh))
    if block <= streak.last:
        return streak
    return streak.replace(
        last=block, evaluations=streak.evaluations + 1, fresh=streak.fresh + int(fresh)
    )


def _with_steady_start(record: SloRecord, result: SloResult, block_end: int) -> SloRecord:
    """Return the state with the start of the present Met period, so that no baseline spans a decay."""
    not_met = result.state is not SloState.MET or record.degraded
    if not_met and record.steady_start_time is not None:
        return record.replace(steady_start_time=None)
    if not not_met and record.steady_start_time is None:
        return record.replace(steady_start_time=block_end)
    return record


def product_state(results: Iterable[tuple[SloResult, SloRecord]]) -> ProductState:
    """Return the state of a product from the confirmed states of its deciding SLOs.

    A confirmed SLO stays Degraded until it has recovered, even if it is temporarily Unknown. A
    product with an SLO without measurements isn't Healthy.
    """
    deciding = [(result, record) for result, record in results if result.terms.deciding]
    if all(result.state is SloState.UNKNOWN for result, _ in deciding):
        return ProductState.UNKNOWN
    if any(record.degraded for _, record in deciding):
        return ProductState.DEGRADED
    if any(result.state in {SloState.AT_RISK, SloState.MISSED} for result, _ in deciding):
        return ProductState.DEGRADING
    if any(result.reason in UNMEASURABLE for result, _ in deciding):
        return ProductState.UNKNOWN
    return ProductState.HEALTHY

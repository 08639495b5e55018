"""From verdicts to a state: an alarm has to last before anything is done, and so has recovery.

A rule that acts on each evaluation enters and leaves "degraded" two hundred times a month for a
product that sits exactly on its objective; with confirmation and hysteresis it does so once.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import ProductState
from sluicegate.policy.model.state import SloMemory, Streak
from sluicegate.policy.slo_health.ratio_slo import SloResult

CONFIRMING_EVALUATIONS: Final = 3
CONFIRMING_BLOCKS: Final = 2
"""Of them with new events."""
CALM_BLOCKS: Final = 12
UNRELATED_BLOCKS: Final = 50_000
"""A streak so far away was counted in blocks of another length, or is over for half a year."""
NOT_STEADY: Final = -1


def remember(memory: SloMemory, result: SloResult, *, block: int, block_end: int) -> SloMemory:
    """What is remembered of an SLO after this evaluation.

    Unknown neither counts towards confirmation or recovery nor resets it. An evaluation of a
    block that was counted already changes nothing, however often a reconcile comes by.
    """
    if result.state is SloState.UNKNOWN:
        return memory
    return _steady(_confirmed(memory, result, block), result, block_end)


def _confirmed(memory: SloMemory, result: SloResult, block: int) -> SloMemory:
    if memory.degraded:
        return _recovering(memory, result, block)
    if result.state is not SloState.BAD:
        return memory if memory.streak is None else replace(memory, streak=None)
    streak = _longer(memory.streak, block, fresh=result.fresh)
    confirmed = streak.evaluations >= CONFIRMING_EVALUATIONS and streak.fresh >= CONFIRMING_BLOCKS
    return replace(memory, streak=streak, degraded=confirmed)


def _recovering(memory: SloMemory, result: SloResult, block: int) -> SloMemory:
    if not result.calm:
        return memory if memory.calm is None else replace(memory, calm=None)
    calm = _longer(memory.calm, block, fresh=result.fresh)
    if calm.evaluations >= CALM_BLOCKS:
        return replace(memory, streak=None, degraded=False, calm=None)
    return replace(memory, calm=calm)


def _longer(streak: Streak | None, block: int, *, fresh: bool) -> Streak:
    if streak is None or abs(block - streak.last) > UNRELATED_BLOCKS:
        return Streak(block, block, 1, int(fresh))
    if block <= streak.last:
        return streak
    return Streak(streak.first, block, streak.evaluations + 1, streak.fresh + int(fresh))


def _steady(memory: SloMemory, result: SloResult, block_end: int) -> SloMemory:
    """Remember since when it hasn't been WARN or BAD: a baseline isn't learnt across a decay."""
    troubled = result.state is not SloState.OK or memory.degraded
    if troubled and memory.steady_since != NOT_STEADY:
        return replace(memory, steady_since=NOT_STEADY)
    if not troubled and memory.steady_since == NOT_STEADY:
        return replace(memory, steady_since=block_end)
    return memory


def product_state(results: Iterable[tuple[SloResult, SloMemory]]) -> ProductState:
    """The state of a product from its deciding SLOs and what is remembered of them.

    A confirmed SLO stays Degraded until it has recovered, be it unknown for a while. A product with
    an SLO that can never be measured isn't Healthy, as nobody knows.
    """
    deciding = [(result, memory) for result, memory in results if result.terms.deciding]
    if all(result.state is SloState.UNKNOWN for result, _ in deciding):
        return ProductState.UNKNOWN
    if any(memory.degraded for _, memory in deciding):
        return ProductState.DEGRADED
    if any(result.state in {SloState.WARN, SloState.BAD} for result, _ in deciding):
        return ProductState.DEGRADING
    if any(result.reason is Reason.NO_FEEDBACK_KEY for result, _ in deciding):
        return ProductState.UNKNOWN
    return ProductState.HEALTHY

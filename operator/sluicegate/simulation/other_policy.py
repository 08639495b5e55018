"""Replay of a history with another policy."""

from collections.abc import Iterator
from dataclasses import replace

from sluicegate.api.product import DataProduct
from sluicegate.errors import InvalidInput, Problem
from sluicegate.simulation.replay_scenario import ReplayScenario


def with_policy(scenario: ReplayScenario, product: DataProduct) -> ReplayScenario:
    """Return the scenario with another DataProduct, which may have another name.

    Baselines that were counted with another indicator are left out by the engine itself.

    Raises
    ------
    InvalidInput
        This product has other indicators than those of the history's events.
    """
    problems = list(_problems(scenario.product, product))
    if problems:
        raise InvalidInput(problems)
    slos = {slo.name for slo in product.spec.slos}
    return replace(
        scenario,
        product=product,
        accepted={name: count for name, count in scenario.accepted.items() if name in slos},
        baselines={name: baseline for name, baseline in scenario.baselines.items() if name in slos},
    )


def _problems(recorded_product: DataProduct, product: DataProduct) -> Iterator[Problem]:
    own_seconds, recorded_seconds = (
        product.spec.analysis.block_seconds,
        recorded_product.spec.analysis.block_seconds,
    )
    if own_seconds != recorded_seconds:
        yield Problem(
            "spec.analysis.blockSeconds",
            f"is {own_seconds}, but the history has blocks of {recorded_seconds} s: set it to {recorded_seconds}, or record the"
            " history again with this file (sluicegate record --with)",
        )
    if not product.spec.slos:
        yield Problem("spec.slos", "is empty: set an SLO, or there is nothing to evaluate")
    indicators = {slo.name: slo.indicator for slo in recorded_product.spec.slos}
    for slo_index, slo in enumerate(product.spec.slos):
        path = f"spec.slos[{slo_index}]"
        if slo.name not in indicators:
            yield Problem(
                f"{path}.name",
                f'"{slo.name}" is not in the history, which has {", ".join(sorted(indicators))}:'
                " correct the name, or record the history again with this file (sluicegate record"
                " --with)",
            )
        elif slo.indicator != indicators[slo.name]:
            yield Problem(
                f"{path}.indicator",
                "counts other events than the history has: record it again with this file"
                " (sluicegate record --with)",
            )

"""Blocks of all lengths at once, where a test asks for what the operator's rounds ask for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sluicegate.prometheus.evaluation import Evaluation
    from sluicegate.prometheus.readings import Readings, Target


async def fetch_all(
    evaluation: Evaluation, targets: Iterable[Target], now: float
) -> tuple[Readings, ...]:
    """What has settled of each set of queries that these targets need."""
    groups = evaluation.regroup(targets)
    asked = [evaluation.fetch_blocks(length, group, now) for length, group in groups.items()]
    return tuple(readings for answered in await asyncio.gather(*asked) for readings in answered)

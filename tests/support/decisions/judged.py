"""Products as the engine judges them: terms, releases and blocks of both arms, in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.engine import EngineState
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import (
    Candidate,
    CandidatePhase,
    Release,
    Share,
    Version,
    VersionSource,
)
from sluicegate.policy.model.observed import CanaryBlock, Observed
from sluicegate.policy.model.terms import SloTerms, Terms, terms_of
from sluicegate.slo.blocks import Block, BlockValue, Quality, Series
from sluicegate.stats.counts import Count
from tests.support.decisions.scenarios import product

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BLOCK = 300
CANARY = 60
START = 3_000_000
"""When the candidate first took traffic; a multiple of both lengths."""
V1, V2, V3 = (
    Release(name, f"registry.example/search@sha256:{name}") for name in ("v1", "v2", "v3")
)
Arm = dict[str, tuple[int, int]]
"""(bad, total) by SLO."""


def judged_by(*slos: Mapping[str, Any], **spec: Any) -> Terms:
    """Return terms of a product with these SLOs; the spec's other fields by keyword."""
    return terms_of(DataProduct.parse(product(*slos, **spec)))


def baseline(slo: SloTerms, bad: int, total: int, **fields: Any) -> Baseline:
    """Return the baseline of a version that was accepted long ago."""
    values = {"phi": 1.0, "indicator_hash": slo.indicator_hash, **fields}
    return Baseline.of(Count(bad, total), 0, 0, BaselineSource.EVALUATION, **values)


def stable(*, since: int = 0, **baselines: Baseline) -> Version:
    """Return v1, accepted with these baselines."""
    return Version.of(V1, VersionSource.SPEC, promotion_time=since, baseline=baselines)


def candidate(*weights: int, release: Release = V2, gap: int = 3600, **fields: Any) -> Candidate:
    """Return candidate v2 with these shares, each for this many seconds."""
    shares = tuple(
        Share(start_time=START + n * gap, weight=weight) for n, weight in enumerate(weights)
    )
    values = {
        "phase": CandidatePhase.STEPPING if weights else CandidatePhase.STARTING,
        "weight": weights[-1] if weights else 0,
        **fields,
    }
    source = values.pop("source", VersionSource.SPEC)
    return Candidate.of(release, source, start_time=START, shares=shares, **values)


def parked(candidate: Candidate) -> Candidate:
    """Return the candidate, whose rollout ended without a verdict."""
    return candidate.replace(phase=CandidatePhase.PARKED, weight=0)


def serving(**fields: Any) -> DataProductStatus:
    """Return status of a product whose v1 serves; what the engine keeps is among the fields."""
    engine = {name: fields.pop(name) for name in EngineState.model_fields if name in fields}
    return DataProductStatus(**{"stable": stable(), "engine": EngineState(**engine), **fields})


def readings(counts: Arm) -> dict[str, BlockValue]:
    """Return the counts of one arm in a block."""
    return {slo: BlockValue(Quality.COUNTED, Count(*one)) for slo, one in counts.items()}


def both_arms(
    candidate: Arm, stable: Arm, number: int, *, begin: int = START, **fields: Any
) -> list[CanaryBlock]:
    """Return this many equal canary blocks after `begin`."""
    values = {"stable": readings(stable), "candidate": readings(candidate), **fields}
    ends = range(begin + CANARY, begin + CANARY * (number + 1), CANARY)
    return [CanaryBlock(end, Quality.COUNTED, **values) for end in ends]


def observed(blocks: Iterable[CanaryBlock] = (), *, block: int = 0, **fields: Any) -> Observed:
    """Return the observed values; the newest block is the last canary block's without `block`."""
    read_blocks = tuple(blocks)
    newest = block or (read_blocks[-1].end if read_blocks else START) // BLOCK
    return Observed(
        block=newest, canary_blocks=read_blocks, canary_block_seconds=CANARY, desired=V1, **fields
    )


def series(*counts: tuple[int, int], first: int = 1) -> Series:
    """Return blocks one after the other, all counted."""
    blocks = Series()
    for index, count in enumerate(counts, start=first):
        blocks.record(Block(index, Quality.COUNTED, Count(*count)))
    return blocks

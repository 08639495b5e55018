"""Blocks of the past, of a few products: for records and ledgers, not for decisions."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from sluicegate.prometheus.block_assembly import Answers, assemble_blocks
from sluicegate.prometheus.consumer_blocks import assemble_consumers
from sluicegate.prometheus.errors import PrometheusError
from sluicegate.prometheus.quarantine import Quarantine
from sluicegate.prometheus.query_batch import Batch, Part, ask_own_parts, needs_of
from sluicegate.prometheus.query_scopes import named_scope
from sluicegate.prometheus.source import Source
from sluicegate.prometheus.targets import SeriesKey, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.slo.blocks import Block
from sluicegate.slo.gateway import GatewayMetric
from sluicegate.slo.queries import QueryKind, render_queries

FETCH_SECONDS: Final = 120.0
_KINDS_BY_VERSION: Final = frozenset(
    {
        QueryKind.REQUESTS, QueryKind.REQUESTS_BAD, QueryKind.LATENCY, QueryKind.LABELLED,
        QueryKind.EVENTS, QueryKind.MARKETS, QueryKind.COUNTERS, QueryKind.PROMQL,
        QueryKind.TARGETS,
    }
)  # fmt: skip
KINDS_NOT_FOR_PAST: Final = frozenset(
    {
        QueryKind.CPU,
        QueryKind.MEMORY,
        QueryKind.GATEWAY,
        QueryKind.GAUGES,
        QueryKind.INPUTS,
    }
)
"""Queries that aren't sent for the past: for facts at one time, and without counts."""
MAX_POINTS: Final = 1_200
"""Most blocks of one query: some four days of five minutes."""


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """Some products, and the blocks `indexes` of `step` seconds; `canary` blocks have labels by age."""

    targets: tuple[Target, ...]
    indexes: range
    step: int
    canary: bool = False


async def ask_blocks(
    source: Source,
    request: BlockRequest,
    timing: Timing,
    *,
    namespaces: tuple[str, ...] = (),
    gateway: GatewayMetric | None = None,
) -> tuple[Answers, str]:
    """Return the results of the operator's own queries for these blocks, and the reasons of missing ones.

    Raises
    ------
    PrometheusError
        There is no answer after two minutes.
    """
    batch = Batch(
        source,
        request.indexes,
        request.step,
        urgent=False,
        quarantine=Quarantine(request.step),
        namespaces=namespaces,
        all_targets=request.targets,
        gateway=gateway,
        canary=request.canary,
    )
    scope, query_needs = named_scope(request.targets), needs_of(request.targets)
    query_parts = [
        Part(query, scope, request.targets, request.indexes)
        for query in render_queries(
            scope, request.step, query_needs, canary=request.canary, gateway=gateway
        )
        if query.kind not in KINDS_NOT_FOR_PAST
    ]
    query_parts += await ask_own_parts(request.targets, request.indexes, request.step)
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            await batch.ask_all(query_parts, ())
    except TimeoutError as error:
        message = f"no answer about {len(request.targets)} products in {FETCH_SECONDS:g} s"
        raise PrometheusError(message) from error
    query_answers = Answers(
        request.indexes,
        request.step,
        timing.scrape_seconds,
        tables=batch.tables,
        failed=frozenset(batch.failures),
        spoiled=batch.spoiled,
    )
    return query_answers, batch.problem


def with_every_version(query_answers: Answers, targets: Sequence[Target]) -> list[Target]:
    """Return the targets with all versions that have any series, also deleted ones."""
    versions: dict[tuple[str, str], set[str]] = defaultdict(set)
    for kind in _KINDS_BY_VERSION:
        for namespace, product, version, *_ in query_answers.table(kind):
            versions[namespace, product].add(version)
    return [
        replace(
            target,
            versions=tuple(dict.fromkeys((*target.versions, *sorted(versions[target.key])))),
        )
        for target in targets
    ]


@dataclass(frozen=True, slots=True)
class Era:
    """An interval in which one version was stable.

    Attributes
    ----------
    end : in seconds; blocks that end later belong to another era.
    """

    target: Target
    end: int


@dataclass(slots=True)
class PastBlocks:
    """Blocks of one product by version and SLO, oldest first, and the reasons why some are missing."""

    step: int
    blocks: dict[tuple[str, str], list[Block]]
    problems: list[str]


@dataclass(frozen=True, slots=True)
class PastReader:
    """Reader of a product's past, block by block, as the operator read it at that time."""

    source: Source
    timing: Timing
    gateway: GatewayMetric | None = None

    async def read(
        self, eras: list[Era], indexes: range, step: int, *, canary: bool = False
    ) -> PastBlocks:
        """Return the blocks `indexes` of `step` seconds; those without an answer are UNAVAILABLE.

        `canary` blocks have labels by age, too.

        Raises
        ------
        PrometheusError
            The query for the targets fails.
        """
        past_blocks = PastBlocks(step, {}, [])
        for first_block in range(indexes.start, indexes.stop, MAX_POINTS):
            block_range = range(first_block, min(first_block + MAX_POINTS, indexes.stop))
            request = BlockRequest((eras[0].target,), block_range, step, canary)
            query_answers, problem = await ask_blocks(
                self.source, request, self.timing, gateway=self.gateway
            )
            if QueryKind.TARGETS in query_answers.failed:
                raise PrometheusError(problem)
            problems = [problem] if problem else []
            problems += [
                f"{kind}: Prometheus refused {len(indexes)} blocks, or its answer is unusable"
                for (kind, _), indexes in sorted(query_answers.spoiled.items())
            ]
            past_blocks.problems += [
                problem_text
                for problem_text in problems
                if problem_text not in past_blocks.problems
            ]
            _take_answers(past_blocks, query_answers, eras)
        return past_blocks


def _take_answers(past_blocks: PastBlocks, query_answers: Answers, serving_eras: list[Era]) -> None:
    """Add the answers to the past, in each era.

    Requests for which there was no pod are failures of the version that was stable at that time.
    """
    after_time = 0
    for serving_era in serving_eras:
        era_indexes = [
            block_index
            for block_index in query_answers.indexes
            if after_time < block_index * query_answers.block_seconds <= serving_era.end
        ]
        after_time = serving_era.end
        if not era_indexes:
            continue
        targets = with_every_version(query_answers, [serving_era.target])
        blocks_by_series: Mapping[SeriesKey, tuple[Block, ...]] = dict(
            chain(
                assemble_blocks(query_answers, targets), assemble_consumers(query_answers, targets)
            )
        )
        offset = query_answers.indexes.start
        for key, blocks in blocks_by_series.items():
            era_blocks = blocks[era_indexes[0] - offset : era_indexes[-1] + 1 - offset]
            past_blocks.blocks.setdefault((key.version, key.slo), []).extend(era_blocks)

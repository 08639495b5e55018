"""Blocks of a stretch of the past, of a few products: for records and ledgers, not for decisions."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sluicegate.prometheus.block_assembly import Answers, assemble_blocks
from sluicegate.prometheus.errors import PrometheusError
from sluicegate.prometheus.quarantine import Quarantine
from sluicegate.prometheus.query_batch import Batch, Part, needs_of, own_parts
from sluicegate.prometheus.query_scopes import named_scope
from sluicegate.prometheus.source import Source
from sluicegate.prometheus.targets import SeriesKey, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.slo.blocks import Block
from sluicegate.slo.gateway import GatewayMetric
from sluicegate.slo.queries import QueryKind, render_queries

FETCH_SECONDS: Final = 120.0
_BY_VERSION: Final = frozenset(
    {
        QueryKind.REQUESTS, QueryKind.REQUESTS_BAD, QueryKind.LATENCY, QueryKind.LABELLED,
        QueryKind.EVENTS, QueryKind.MARKETS, QueryKind.COUNTERS, QueryKind.PROMQL,
        QueryKind.TARGETS,
    }
)  # fmt: skip
UNASKED: Final = frozenset({QueryKind.CPU, QueryKind.MEMORY, QueryKind.GATEWAY, QueryKind.GAUGES})
"""Facts of a moment, and what has no counts."""
MOST_POINTS: Final = 1_200
"""Blocks of one query: some four days of five minutes."""


@dataclass(frozen=True, slots=True)
class AskedBlocks:
    """Some products, and the blocks `indexes` of `step` seconds."""

    targets: tuple[Target, ...]
    indexes: range
    step: int


async def ask_blocks(
    source: Source,
    asked: AskedBlocks,
    timing: Timing,
    *,
    namespaces: tuple[str, ...] = (),
    gateway: GatewayMetric | None = None,
) -> tuple[Answers, str]:
    """What the operator's own queries say of these blocks, and why some of it isn't known.

    Raises
    ------
    PrometheusError
        Nothing came in two minutes.
    """
    batch = Batch(
        source,
        asked.indexes,
        asked.step,
        urgent=False,
        quarantine=Quarantine(asked.step),
        namespaces=namespaces,
        everybody=asked.targets,
        gateway=gateway,
    )
    scope, needs = named_scope(asked.targets), needs_of(asked.targets)
    parts = [
        Part(query, scope, asked.targets, asked.indexes)
        for query in render_queries(scope, asked.step, needs, gateway=gateway)
        if query.kind not in UNASKED
    ]
    parts += await own_parts(asked.targets, asked.indexes, asked.step)
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            await batch.ask_all(parts, ())
    except TimeoutError as error:
        said = f"no answer about {len(asked.targets)} products in {FETCH_SECONDS:g} s"
        raise PrometheusError(said) from error
    answers = Answers(
        asked.indexes,
        asked.step,
        timing.scrape_seconds,
        tables=batch.tables,
        failed=frozenset(batch.failures),
        spoiled=batch.spoiled,
    )
    return answers, batch.problem


def with_every_version(answers: Answers, targets: Sequence[Target]) -> list[Target]:
    """The targets with all versions that have any series, gone ones included."""
    versions: dict[tuple[str, str], set[str]] = defaultdict(set)
    for kind in _BY_VERSION:
        for namespace, product, version, *_ in answers.table(kind):
            versions[namespace, product].add(version)
    return [
        replace(
            one,
            versions=tuple(dict.fromkeys((*one.versions, *sorted(versions[one.key])))),
        )
        for one in targets
    ]


@dataclass(frozen=True, slots=True)
class Era:
    """A time in which one version was stable: the first of the target's versions.

    Attributes
    ----------
    end : in seconds; blocks that end later are of another era.
    """

    target: Target
    end: int


@dataclass(slots=True)
class PastBlocks:
    """Blocks of one product by version and SLO, oldest first; why some could not be read."""

    step: int
    blocks: dict[tuple[str, str], list[Block]]
    problems: list[str]


@dataclass(frozen=True, slots=True)
class PastReader:
    """Reads a product's past block by block, as the operator read it at that time."""

    source: Source
    timing: Timing
    gateway: GatewayMetric | None = None

    async def read(self, eras: list[Era], indexes: range, step: int) -> PastBlocks:
        """The blocks `indexes` of `step` seconds; what isn't answered is UNAVAILABLE.

        Raises
        ------
        PrometheusError
            Prometheus doesn't say what it scraped.
        """
        past = PastBlocks(step, {}, [])
        for first in range(indexes.start, indexes.stop, MOST_POINTS):
            piece = range(first, min(first + MOST_POINTS, indexes.stop))
            asked = AskedBlocks((eras[0].target,), piece, step)
            answers, problem = await ask_blocks(
                self.source, asked, self.timing, gateway=self.gateway
            )
            if QueryKind.TARGETS in answers.failed:
                raise PrometheusError(problem)
            told = [problem] if problem else []
            told += [
                f"{kind}: Prometheus refused {len(indexes)} blocks, or its answer is unusable"
                for (kind, _), indexes in sorted(answers.spoiled.items())
            ]
            past.problems += [one for one in told if one not in past.problems]
            _take(past, answers, eras)
        return past


def _take(past: PastBlocks, answers: Answers, eras: list[Era]) -> None:
    """Requests that reached no pod are failures of the version that was stable at that time."""
    after = 0
    for era in eras:
        mine = [at for at in answers.indexes if after < at * answers.block_seconds <= era.end]
        after = era.end
        if not mine:
            continue
        read: Mapping[SeriesKey, tuple[Block, ...]] = dict(
            assemble_blocks(answers, with_every_version(answers, [era.target]))
        )
        offset = answers.indexes.start
        for key, blocks in read.items():
            chosen = blocks[mine[0] - offset : mine[-1] + 1 - offset]
            past.blocks.setdefault((key.version, key.slo), []).extend(chosen)

"""Assembly of blocks: from tables of all products to the blocks of each, with their quality.

The functions are pure, and run in a worker thread: with thousands of products they would block the
event loop.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from math import isfinite, nan
from typing import Final

from sluicegate.api.slos import Availability, Gauge, Indicator
from sluicegate.prometheus.result_table import IGNORED, Table
from sluicegate.prometheus.scrape_coverage import Scrape, Scrapes
from sluicegate.prometheus.targets import (
    PAIRED_SERIES,
    REQUESTS,
    Mean,
    ProductKey,
    SeriesKey,
    Target,
    TargetFacts,
    VersionKey,
)
from sluicegate.prometheus.unsent import Unsent
from sluicegate.slo.blocks import Block, Quality, read_block
from sluicegate.slo.by_market import market_series
from sluicegate.slo.client_errors import CLIENT_ERRORS, ResponseKind
from sluicegate.slo.indicators import (
    INDICATORS,
    NO_VALUES,
    BlockCounts,
    IndicatorDefinition,
    Labels,
    SloRows,
    Values,
    count_outcomes,
    sum_rows,
)
from sluicegate.slo.label_ages import AGED_SERIES
from sluicegate.slo.pod_seconds import POD_SECONDS
from sluicegate.slo.queries import Fact, QueryKind

MAX_STRAY_LABELS: Final = 50
"""Most labels of a block that a candidate's pods may count for other versions without a contradiction."""
_REQUESTS: Final = Indicator(availability=Availability())
"""All requests are counted as the availability is."""


@dataclass(frozen=True)
class Answers:
    """Query results of one fetch, for the blocks `indexes` of `block_seconds`."""

    indexes: range
    block_seconds: int
    interval_seconds: float
    tables: Mapping[QueryKind, Table] = field(default_factory=dict)
    failed: frozenset[QueryKind] = frozenset()
    spoiled: Mapping[tuple[QueryKind, ProductKey], AbstractSet[int]] = field(default_factory=dict)
    """Blocks of single products that a kind of query has no answer for."""

    def unanswered(self, kinds: frozenset[QueryKind], product: ProductKey) -> AbstractSet[int]:
        """Return the blocks of a product for which a query of these kinds, or that of the targets, failed."""
        required_kinds = kinds | {QueryKind.TARGETS}
        if self.failed & required_kinds:
            return frozenset(self.indexes)
        if not self.spoiled:
            return frozenset()
        return {index for kind in required_kinds for index in self.spoiled.get((kind, product), ())}

    def table(self, kind: QueryKind) -> Table:
        """Return the rows of a query kind; empty if the query was not sent or failed."""
        return self.tables.get(kind, {})

    @cached_property
    def silent(self) -> Mapping[int, Block]:
        """Return the shared blocks of series that don't exist."""
        return {index: Block(index, Quality.NO_SERIES) for index in self.indexes}

    @cached_property
    def scrapes(self) -> Scrapes:
        """Return the scrapes of each version."""
        return Scrapes(
            self.table(QueryKind.TARGETS),
            block_seconds=self.block_seconds,
            interval_seconds=self.interval_seconds,
        )

    @cached_property
    def services(self) -> Mapping[Labels, tuple[str, ...]]:
        """Return the names of the services that each version counts requests for."""
        names_of_version = defaultdict(set)
        for kind in (QueryKind.REQUESTS, QueryKind.REQUESTS_BAD, QueryKind.LATENCY):
            for namespace, product, version, service, *_ in self.table(kind):
                names_of_version[namespace, product, version].add(service)
        return {version: tuple(sorted(services)) for version, services in names_of_version.items()}

    def of_service(
        self, kind: QueryKind, version: Labels, service: str, *further_labels: str
    ) -> Values | None:
        """Return a version's values; only those of its entry service, if the target names it."""
        services = (service,) if service else self.services.get(version, ())
        return sum_rows(
            self.table(kind).get((*version, service_name, *further_labels))
            for service_name in services
        )


def assemble_blocks(
    query_answers: Answers, targets: Iterable[Target]
) -> Iterator[tuple[SeriesKey, tuple[Block, ...]]]:
    """Yield the blocks of every counted SLO of every live version, and its requests.

    Requests for which there was no pod are failures of the stable version, the first of the
    versions.
    """
    all_targets = tuple(targets)
    unsent_requests = Unsent(query_answers.table(QueryKind.SENT), all_targets)
    for target, version in _versions(all_targets):
        if target.requests is REQUESTS:
            blocks = _counted_blocks(
                query_answers, target, version, slo=REQUESTS, indicator=_REQUESTS
            )
            yield SeriesKey(*version, REQUESTS), blocks
        if target.client_errors:
            errors = _client_errors(query_answers, target, version)
            blocks = _gated_blocks(query_answers, INDICATORS[_REQUESTS.kind], version, errors)
            yield SeriesKey(*version, CLIENT_ERRORS), blocks
        if target.counts_pods:
            yield SeriesKey(*version, POD_SECONDS), _pod_seconds(query_answers, version)
        yield from _blocks_by_market(query_answers, target, version)
        if target.paired and version.version != target.versions[0]:
            yield from _paired_rows(query_answers, target, version)
        yield from _blocks_by_age(query_answers, version)
        for slo, indicator in target.slos.items():
            if not indicator.gauge:
                blocks = _counted_blocks(
                    query_answers, target, version, slo=slo, indicator=indicator
                )
                if version.version == target.versions[0] and indicator.availability:
                    blocks = unsent_requests.added(target.key, blocks)
                yield SeriesKey(*version, slo), blocks


def _versions(targets: Iterable[Target]) -> Iterator[tuple[Target, VersionKey]]:
    for target in targets:
        for name in target.versions:
            yield target, VersionKey(*target.key, name)


def _blocks_by_market(
    query_answers: Answers, target: Target, version: VersionKey
) -> Iterator[tuple[SeriesKey, tuple[Block, ...]]]:
    """Yield the blocks of each counted SLO in each market."""
    table = query_answers.table(QueryKind.MARKETS)
    unanswered_blocks = query_answers.unanswered(frozenset({QueryKind.MARKETS}), target.key)
    scrapes = cache(partial(query_answers.scrapes.of, version[:2]))  # the same for each market
    for slo, indicator in target.slos.items():
        label = INDICATORS[indicator.kind].market_label(slo, indicator)
        for market in target.markets if label else ():
            good_rows, bad_rows = (
                table.get((*version, label, outcome, market)) for outcome in ("good", "bad")
            )
            counts = count_outcomes(good_rows, bad_rows)
            blocks = gate_with_scrapes(
                query_answers, version[:2], counts, unanswered_blocks, scrapes=scrapes
            )
            yield SeriesKey(*version, market_series(slo, market)), blocks


def _blocks_by_age(
    query_answers: Answers, version: VersionKey
) -> Iterator[tuple[SeriesKey, tuple[Block, ...]]]:
    """Yield the labels of each class of age that has any row."""
    rows, kinds = (
        query_answers.table(QueryKind.LABELLED_BY_AGE),
        frozenset({QueryKind.LABELLED_BY_AGE}),
    )
    for age, name in AGED_SERIES.items() if rows else ():
        right_rows, wrong_rows = (
            rows.get((*version, correctness, age)) for correctness in ("correct", "wrong")
        )
        if right_rows is not None or wrong_rows is not None:
            unanswered_blocks = query_answers.unanswered(kinds, ProductKey(*version[:2]))
            blocks = gate_with_scrapes(
                query_answers,
                version[:2],
                count_outcomes(right_rows, wrong_rows),
                unanswered_blocks,
            )
            yield SeriesKey(*version, name), blocks


def _paired_rows(
    query_answers: Answers, target: Target, version: VersionKey
) -> Iterator[tuple[SeriesKey, tuple[Block, ...]]]:
    """Yield a candidate's outcomes for requests that stable answered, by stable's outcome."""
    rows, kinds = query_answers.table(QueryKind.PAIRED), frozenset({QueryKind.PAIRED})
    unanswered_blocks = query_answers.unanswered(kinds, target.key)
    for outcome, name in PAIRED_SERIES.items():
        right_rows, wrong_rows = (
            rows.get((*target.key, target.versions[0], version.version, outcome, correctness))
            for correctness in ("correct", "wrong")
        )
        if right_rows is not None or wrong_rows is not None:
            counts = count_outcomes(right_rows, wrong_rows)
            yield (
                SeriesKey(*version, name),
                gate_with_scrapes(query_answers, version[:2], counts, unanswered_blocks),
            )


def assemble_means(
    query_answers: Answers, targets: Iterable[Target]
) -> Iterator[tuple[SeriesKey, tuple[Mean, ...]]]:
    """Yield the block means of every gauge of every live version."""
    for target, version in _versions(targets):
        for slo, indicator in target.slos.items():
            if indicator.gauge:
                yield (
                    SeriesKey(*version, slo),
                    _gauge_means(query_answers, version, indicator.gauge),
                )


def assemble_facts(
    query_answers: Answers, targets: Iterable[Target]
) -> Iterator[tuple[VersionKey, TargetFacts]]:
    """Yield the other facts of every live version at the newest block."""
    newest_block = query_answers.indexes[-1]
    for target, version in _versions(targets):
        scrape_of_block = query_answers.scrapes.of(version, newest_block)
        facts = TargetFacts(
            coverage=scrape_of_block.coverage if scrape_of_block else None,
            scraped=bool(scrape_of_block and scrape_of_block.scraped),
            stale=bool(scrape_of_block and scrape_of_block.stale),
            duplicated=scrape_of_block.duplicated if scrape_of_block else 0,
            secretless=scrape_of_block.secretless if scrape_of_block else 0,
            cpu_throttled=_value_of(query_answers, QueryKind.CPU, (*version, "")),
            cpu_waited=_value_of(query_answers, QueryKind.CPU, (*version, Fact.WAITED)),
            cpus_used=_value_of(query_answers, QueryKind.CPU, (*version, Fact.USED)),
            memory_used=_value_of(query_answers, QueryKind.MEMORY, version),
            inputs=tuple(_input_values(query_answers, target)),
        )
        yield version, facts


def _input_values(query_answers: Answers, target: Target) -> Iterator[tuple[str, float]]:
    """Yield each input of a product with its value at the newest block, if it has one."""
    for name, _ in target.inputs:
        value = _value_of(query_answers, QueryKind.INPUTS, (*target.key, name))
        if value is not None:
            yield name, value


def assemble_scraped(
    query_answers: Answers, targets: Iterable[Target]
) -> Iterator[tuple[VersionKey, frozenset[int]]]:
    """Yield the blocks in which pods of each live version answered a scrape."""
    for _, version in _versions(targets):
        scrapes = (
            (index, query_answers.scrapes.of(version, index)) for index in query_answers.indexes
        )
        yield (
            version,
            frozenset(
                index
                for index, scrape_of_block in scrapes
                if scrape_of_block and scrape_of_block.scraped
            ),
        )


def assemble_gateway(query_answers: Answers) -> dict[str, Values] | None:
    """Return requests by backend and block; None if no gateway was queried, or it didn't answer."""
    table = query_answers.tables.get(QueryKind.GATEWAY)
    return None if table is None else {backend: values for (backend,), values in table.items()}


def _pod_seconds(query_answers: Answers, version: VersionKey) -> tuple[Block, ...]:
    """Return the seconds for which a version's pods answered, as the events of a block."""
    scrapes = ((index, query_answers.scrapes.of(version, index)) for index in query_answers.indexes)
    return tuple(
        read_block(index, 0, scrape_of_block.pod_seconds if scrape_of_block else None)
        for index, scrape_of_block in scrapes
    )


def _counted_blocks(
    query_answers: Answers, target: Target, version: VersionKey, *, slo: str, indicator: Indicator
) -> tuple[Block, ...]:
    """Return the blocks of a counted indicator."""
    definition = INDICATORS[indicator.kind]
    rows = SloRows(query_answers, version, target.service_of(version.version), slo, indicator)
    blocks = _gated_blocks(query_answers, definition, version, definition.counts(rows))
    if not definition.counted_by_any_pod:
        return blocks
    ignored_labels = sum_rows(
        query_answers.table(kind).get((*version, IGNORED)) for kind in definition.queries
    )
    if not ignored_labels:
        return blocks
    stable = VersionKey(*target.key, target.versions[0])
    stable_rows = SloRows(query_answers, stable, target.service_of(stable.version), slo, indicator)
    return _contradicted(blocks, ignored_labels, definition.counts(stable_rows))


def _contradicted(
    blocks: tuple[Block, ...], ignored_labels: Values, stable_counts: BlockCounts
) -> tuple[Block, ...]:
    """Return a candidate's blocks, invalid where its pods counted more for stable than stable's pods did.

    Labels don't lead to the candidate's pods, except for seconds until a gateway has its new rules.
    """
    return tuple(
        Block(block.index, Quality.INVALID)
        if ignored_labels.get(block.index, 0.0)
        > max(MAX_STRAY_LABELS, stable_counts.total(block.index) or 0.0)
        else block
        for block in blocks
    )


def _gated_blocks(
    query_answers: Answers,
    definition: IndicatorDefinition,
    version: VersionKey,
    counts: BlockCounts,
) -> tuple[Block, ...]:
    """Return blocks whose quality reflects the coverage of the scrapes."""
    unanswered_blocks = query_answers.unanswered(definition.queries, ProductKey(*version[:2]))
    owner = version[:2] if definition.counted_by_any_pod else version
    return gate_with_scrapes(query_answers, owner, counts, unanswered_blocks)


def gate_with_scrapes(
    query_answers: Answers,
    owner: Labels,
    counts: BlockCounts,
    unanswered_blocks: AbstractSet[int],
    *,
    scrapes: Callable[[int], Scrape | None] | None = None,
) -> tuple[Block, ...]:
    """Return blocks with their quality, by the scrapes of `owner`."""
    scrape_at = scrapes or partial(query_answers.scrapes.of, owner)
    # Most of a young version's past is empty, and millions of blocks are read after a start.
    scraped_indexes = counts.indexes() | query_answers.scrapes.indexes(owner)
    return tuple(
        Block(index, Quality.UNAVAILABLE)
        if index in unanswered_blocks
        else _block_of(index, counts, scrape_at(index))
        if index in scraped_indexes
        else query_answers.silent[index]
        for index in query_answers.indexes
    )


def _block_of(index: int, counts: BlockCounts, scrape_of_block: Scrape | None) -> Block:
    if scrape_of_block and scrape_of_block.duplicated:
        return Block(index, Quality.INVALID)
    if scrape_of_block and scrape_of_block.stale:
        return Block(index, Quality.UNAVAILABLE)
    coverage = scrape_of_block.coverage if scrape_of_block else None
    return read_block(index, counts.bad(index), counts.total(index), coverage=coverage)


def _client_errors(query_answers: Answers, target: Target, version: VersionKey) -> BlockCounts:
    """Return 4xx of all requests; both include those to unknown paths."""
    service = target.service_of(version.version)
    refused_blocks, unknown_path_blocks = (
        query_answers.of_service(QueryKind.REQUESTS_BAD, version, service, response_kind)
        for response_kind in (ResponseKind.REFUSED, ResponseKind.UNKNOWN)
    )
    requests = query_answers.of_service(QueryKind.REQUESTS, version, service)
    return BlockCounts(
        totals=sum_rows((requests, unknown_path_blocks)),
        bads=sum_rows((refused_blocks, unknown_path_blocks)),
    )


def _gauge_means(query_answers: Answers, version: VersionKey, gauge: Gauge) -> tuple[Mean, ...]:
    kinds = frozenset({QueryKind.GAUGES})
    unanswered_blocks = query_answers.unanswered(kinds, ProductKey(*version[:2]))
    rows = query_answers.table(QueryKind.GAUGES)
    values = rows.get((*version, gauge.metric, Fact.MEAN), NO_VALUES)
    ages = rows.get((*version, gauge.metric, Fact.AGE), NO_VALUES)
    return tuple(
        Mean(index, Quality.UNAVAILABLE, nan)
        if index in unanswered_blocks
        else _mean_of_block(index, values.get(index), ages.get(index), gauge)
        for index in query_answers.indexes
    )


def _mean_of_block(index: int, value: float | None, age: float | None, gauge: Gauge) -> Mean:
    if value is None or age is None or age > gauge.stale_after_seconds:
        return Mean(index, Quality.NO_SERIES, nan)
    if not isfinite(value):
        return Mean(index, Quality.INVALID, nan)
    return Mean(index, Quality.COUNTED, value)


def _value_of(query_answers: Answers, kind: QueryKind, labels: Labels) -> float | None:
    value = query_answers.table(kind).get(labels, NO_VALUES).get(query_answers.indexes[-1])
    return value if value is not None and isfinite(value) else None

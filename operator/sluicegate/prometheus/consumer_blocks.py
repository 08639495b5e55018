"""Assembly of the outcomes of consumers, by the version of the upstream that answered them.

The upstream's own two versions count, and nothing else: a consumer may expose any other.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Final

from sluicegate.prometheus.block_assembly import Answers, gate_with_scrapes
from sluicegate.prometheus.targets import ProductKey, SeriesKey, Target
from sluicegate.slo.blocks import Block
from sluicegate.slo.consumer_series import (
    MIXED_SERIES,
    OUTCOMES,
    UNMARKED_SERIES,
    USUAL_SERIES,
    consumer_series,
    events_of,
)
from sluicegate.slo.indicators import BlockCounts, Values, count_outcomes, sum_rows
from sluicegate.slo.label_ages import AGED_SERIES
from sluicegate.slo.queries import QueryKind

_EVENT_OUTCOMES: Final = {"wrong": "bad", "correct": "good"}
"""Outcomes of predictions, as events are called."""


CountsByConsumer = dict[str, dict[str, Values]]
"""Values by series of a consumer, then by outcome or result."""


def assemble_consumers(
    query_answers: Answers, targets: Iterable[Target]
) -> Iterator[tuple[SeriesKey, tuple[Block, ...]]]:
    """Yield the blocks of the consumers of each product with a candidate."""
    targets_with_consumers = [target for target in targets if target.consumers]
    if not targets_with_consumers:
        return
    rows = _counts_by_owner(query_answers)
    for target in targets_with_consumers:
        for consumer in target.consumers:
            prefix, ungated_blocks = (
                "/".join(consumer),
                _unread_blocks(query_answers, target, consumer),
            )
            for version, name, counts in _counts(target, rows.get(consumer, {})):
                key = SeriesKey(*target.key, version, consumer_series(prefix, name))
                yield key, ungated_blocks(counts)


def _counts(
    target: Target, rows: Mapping[tuple[str, str], CountsByConsumer]
) -> Iterator[tuple[str, str, BlockCounts]]:
    """Yield version, name and events of each series of a consumer.

    Requests are yielded without any row, too: the quality of blocks is theirs.
    """
    upstream = "/".join(target.key)
    for version in (USUAL_SERIES, *target.versions):
        version_owner = (
            ("", "") if version == USUAL_SERIES else (upstream, version.rpartition("/")[2])
        )
        for name, outcomes in rows.get(version_owner, {}).items():
            yield version, name, count_outcomes(outcomes.get("good"), outcomes.get("bad"))
    results = rows.get((upstream, ""), {}).get(MIXED_SERIES, {})
    for name, result in ((MIXED_SERIES, "mixed"), (UNMARKED_SERIES, "unmarked")):
        total = sum_rows(results.values())
        yield target.versions[0], name, BlockCounts(total, bads=results.get(result))


def _unread_blocks(
    query_answers: Answers, target: Target, consumer: ProductKey
) -> Callable[[BlockCounts], tuple[Block, ...]]:
    kinds = frozenset({QueryKind.UPSTREAMS})
    unanswered_blocks = {
        *query_answers.unanswered(kinds, target.key),
        *query_answers.unanswered(kinds, consumer),
    }
    scrapes = cache(partial(query_answers.scrapes.of, tuple(consumer)))
    return lambda counts: gate_with_scrapes(
        query_answers, tuple(consumer), counts, unanswered_blocks, scrapes=scrapes
    )


def _counts_by_owner(
    query_answers: Answers,
) -> dict[ProductKey, dict[tuple[str, str], CountsByConsumer]]:
    """Return the outcomes of each consumer by upstream and revision; key ("", "") holds all of them."""
    by_owner: dict[ProductKey, dict[tuple[str, str], CountsByConsumer]] = defaultdict(dict)
    for labels, values in query_answers.table(QueryKind.UPSTREAMS).items():
        namespace, product, upstream, revision, indicator, outcome, age, result = labels
        by_name = by_owner[ProductKey(namespace, product)].setdefault((upstream, revision), {})
        if result:
            _add_values(by_name, MIXED_SERIES, result, values)
        elif indicator:
            _add_values(by_name, events_of(indicator), outcome, values)
        else:
            _add_values(by_name, OUTCOMES, _EVENT_OUTCOMES.get(outcome, outcome), values)
            if age in AGED_SERIES:
                _add_values(
                    by_name, AGED_SERIES[age], _EVENT_OUTCOMES.get(outcome, outcome), values
                )
    return by_owner


def _add_values(by_name: CountsByConsumer, name: str, outcome: str, values: Values) -> None:
    kinds = by_name.setdefault(name, {})
    kinds[outcome] = sum_rows((kinds.get(outcome), values)) or values

"""Assembly of the outcomes of consumers, by the version of the upstream that answered them.

The upstream's own two versions count, and nothing else: a consumer may expose any other.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Final

from sluicegate.prometheus.block_assembly import Answers, gate_with
from sluicegate.prometheus.targets import ProductKey, SeriesKey, Target
from sluicegate.slo.blocks import Block
from sluicegate.slo.consumer_series import (
    MIXED,
    OUTCOMES,
    UNMARKED,
    USUAL,
    consumer_series,
    events_of,
)
from sluicegate.slo.indicators import BlockCounts, Values, count_outcomes, sum_rows
from sluicegate.slo.label_ages import AGED_SERIES
from sluicegate.slo.queries import QueryKind

_BAD: Final = {"wrong": "bad", "correct": "good"}
"""Outcomes of predictions, as events are called."""


Counted = dict[str, dict[str, Values]]
"""Values by series of a consumer, then by outcome or result."""


def assemble_consumers(
    answers: Answers, targets: Iterable[Target]
) -> Iterator[tuple[SeriesKey, tuple[Block, ...]]]:
    """Yield the blocks of the consumers of each product with a candidate."""
    concerned = [target for target in targets if target.consumers]
    if not concerned:
        return
    rows = _by_owner(answers)
    for target in concerned:
        for consumer in target.consumers:
            prefix, gate = "/".join(consumer), _gate(answers, target, consumer)
            for version, name, counts in _counts(target, rows.get(consumer, {})):
                key = SeriesKey(*target.key, version, consumer_series(prefix, name))
                yield key, gate(counts)


def _counts(
    target: Target, rows: Mapping[tuple[str, str], Counted]
) -> Iterator[tuple[str, str, BlockCounts]]:
    """Yield version, name and events of each series of a consumer.

    Requests are yielded without any row, too: the quality of blocks is theirs.
    """
    upstream = "/".join(target.key)
    for version in (USUAL, *target.versions):
        place = ("", "") if version == USUAL else (upstream, version.rpartition("/")[2])
        for name, outcomes in rows.get(place, {}).items():
            yield version, name, count_outcomes(outcomes.get("good"), outcomes.get("bad"))
    results = rows.get((upstream, ""), {}).get(MIXED, {})
    for name, result in ((MIXED, "mixed"), (UNMARKED, "unmarked")):
        total = sum_rows(results.values())
        yield target.versions[0], name, BlockCounts(total, bads=results.get(result))


def _gate(
    answers: Answers, target: Target, consumer: ProductKey
) -> Callable[[BlockCounts], tuple[Block, ...]]:
    kinds = frozenset({QueryKind.UPSTREAMS})
    unanswered = {*answers.unanswered(kinds, target.key), *answers.unanswered(kinds, consumer)}
    scrapes = cache(partial(answers.scrapes.of, tuple(consumer)))
    return lambda counts: gate_with(answers, tuple(consumer), counts, unanswered, scrapes=scrapes)


def _by_owner(answers: Answers) -> dict[ProductKey, dict[tuple[str, str], Counted]]:
    """Return the values of each consumer by upstream and revision; ("", "") has all its outcomes."""
    by_owner: dict[ProductKey, dict[tuple[str, str], Counted]] = defaultdict(dict)
    for labels, values in answers.table(QueryKind.UPSTREAMS).items():
        namespace, product, upstream, revision, indicator, outcome, age, result = labels
        by_name = by_owner[ProductKey(namespace, product)].setdefault((upstream, revision), {})
        if result:
            _add(by_name, MIXED, result, values)
        elif indicator:
            _add(by_name, events_of(indicator), outcome, values)
        else:
            _add(by_name, OUTCOMES, _BAD.get(outcome, outcome), values)
            if age in AGED_SERIES:
                _add(by_name, AGED_SERIES[age], _BAD.get(outcome, outcome), values)
    return by_owner


def _add(by_name: Counted, name: str, outcome: str, values: Values) -> None:
    kinds = by_name.setdefault(name, {})
    kinds[outcome] = sum_rows((kinds.get(outcome), values)) or values

"""Requests for which there was no pod: only the gateway counts them, and they are failures.

Pods count the requests that they answer. While there is no pod, or it accepts no connection, the
gateway answers 503 and 502 itself, and the product's own counters don't contain them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Final

from sluicegate.prometheus.result_table import Table
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.gateway import GatewayCount, route_of
from sluicegate.stats.counts import Count

Values = dict[int, float]
_WITHOUT_PODS: Final = frozenset({Quality.NO_SERIES, Quality.LOW_COVERAGE})
"""Qualities of a block whose pods, if there were any, couldn't be scraped."""


class Unsent:
    """Requests that gateways received but sent to no pod, by product and block."""

    def __init__(self, table: Table, targets: Iterable[Target]) -> None:
        """Store the counts; if two products' routes have the same name, a request can't be attributed."""
        self._table = table
        self._times = Counter(route_of(*target.key) for target in targets) if table else Counter()

    def added(self, product: ProductKey, blocks: Sequence[Block]) -> tuple[Block, ...]:
        """Return the blocks of a product's availability, with the requests that reached no pod."""
        name = route_of(*product)
        if self._times[name] != 1:
            return tuple(blocks)
        facts = {fact_label: self._table.get((name, fact_label), {}) for fact_label in GatewayCount}
        return tuple(
            _with_unaccepted(block, _unaccepted_requests(facts, block.index), facts)
            for block in blocks
        )


def _unaccepted_requests(facts: Mapping[GatewayCount, Values], index: int) -> int:
    """Return the requests that no pod accepted: 503 that no pod has answered, and failed connections."""
    unsent_requests, own_unsent, refused_number = (
        facts[fact_label].get(index, 0.0)
        for fact_label in (GatewayCount.UNSENT, GatewayCount.OWN, GatewayCount.REFUSED)
    )
    unaccepted_requests = max(unsent_requests - own_unsent, 0.0) + refused_number
    return round(unaccepted_requests) if isfinite(unaccepted_requests) else 0


def _with_unaccepted(
    block: Block, unaccepted_requests: int, facts: Mapping[GatewayCount, Values]
) -> Block:
    if unaccepted_requests <= 0:
        return block
    if block.quality is Quality.COUNTED:
        count = Count(
            block.count.bad + unaccepted_requests, block.count.total + unaccepted_requests
        )
        return Block(block.index, Quality.COUNTED, count)
    if block.quality not in _WITHOUT_PODS:
        return block
    routed_requests = facts[GatewayCount.ROUTED].get(block.index, 0.0)
    total = max(round(routed_requests) if isfinite(routed_requests) else 0, unaccepted_requests)
    return Block(block.index, Quality.COUNTED, Count(unaccepted_requests, total))

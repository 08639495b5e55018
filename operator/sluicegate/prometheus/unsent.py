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
    """Requests of each product that its gateways sent to no pod, by block."""

    def __init__(self, table: Table, targets: Iterable[Target]) -> None:
        """Store the counts; if two products' routes have the same name, a request can't be attributed."""
        self._table = table
        self._times = Counter(route_of(*target.key) for target in targets) if table else Counter()

    def added(self, product: ProductKey, blocks: Sequence[Block]) -> tuple[Block, ...]:
        """Return the blocks of a product's availability, with the requests that reached no pod."""
        name = route_of(*product)
        if self._times[name] != 1:
            return tuple(blocks)
        facts = {fact: self._table.get((name, fact), {}) for fact in GatewayCount}
        return tuple(
            _with(block, _unaccepted_requests(facts, block.index), facts) for block in blocks
        )


def _unaccepted_requests(facts: Mapping[GatewayCount, Values], index: int) -> int:
    """Return the requests that no pod accepted: 503 that no pod has answered, and failed connections."""
    unsent, own_unsent, refused_number = (
        facts[fact].get(index, 0.0)
        for fact in (GatewayCount.UNSENT, GatewayCount.OWN, GatewayCount.REFUSED)
    )
    unaccepted = max(unsent - own_unsent, 0.0) + refused_number
    return round(unaccepted) if isfinite(unaccepted) else 0


def _with(block: Block, unaccepted: int, facts: Mapping[GatewayCount, Values]) -> Block:
    if unaccepted <= 0:
        return block
    if block.quality is Quality.COUNTED:
        count = Count(block.count.bad + unaccepted, block.count.total + unaccepted)
        return Block(block.index, Quality.COUNTED, count)
    if block.quality not in _WITHOUT_PODS:
        return block
    routed = facts[GatewayCount.ROUTED].get(block.index, 0.0)
    total = max(round(routed) if isfinite(routed) else 0, unaccepted)
    return Block(block.index, Quality.COUNTED, Count(unaccepted, total))

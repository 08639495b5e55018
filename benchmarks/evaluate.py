"""Duration of evaluating a portfolio from cached blocks: `python benchmarks/evaluate.py`.

5,000 products with four SLOs each, fourteen days of blocks. Three kinds of blocks: the first
evaluation of a process (nothing computed before), one within an hour, and one that completes an
hour (the CUSUM takes a step). The bar is 2 s on one core. CPU time is reported, as the wall clock
of a shared machine depends on its other load.
"""

# ruff: noqa: E402, T201 - a script beside the source roots

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "operator")]

from benchmarks.contender import Product
from benchmarks.sluicegate_contender import SLOS, data_product
from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Release, Version, VersionSource
from sluicegate.policy.evaluate import evaluate
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms, terms_of
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS
from sluicegate.stats.counts import Count

STABLE = Release("v1")
CONVERSION = {
    "name": "conversion",
    "indicator": {"counters": {"good": "clicked_total", "total": "served_total"}},
    "maxDrop": "0.004",
}
RATES = {"availability": 0.0003, "latency": 0.005, "accuracy": 0.1, "conversion": 0.969}
START = 600 * BLOCKS_PER_HOUR


def series(rate: float, source: random.Random) -> Series:
    """Return fourteen days of a healthy SLO: hours, then single blocks."""
    filled = Series()
    for index in range(START - 80, START + 1):
        filled.record(Block(index, Quality.COUNTED, draw(rate, 200, source)))
    first = START // BLOCKS_PER_HOUR - HOURS + 1
    for hour in range(first, START // BLOCKS_PER_HOUR - 6):
        filled.record_hour(hour, draw(rate, 200 * BLOCKS_PER_HOUR, source))
    return filled


def draw(rate: float, total: int, source: random.Random) -> Count:
    """Draw a count, approximately binomial."""
    spread = (total * rate * (1 - rate)) ** 0.5
    return Count(min(max(round(source.gauss(total * rate, spread)), 0), total), total)


def accepted_status(terms: Terms) -> DataProductStatus:
    """Return the status of a version with a production baseline."""
    baselines = {
        slo.name: Baseline.of(
            Count(round(60_000 * RATES[slo.name]), 60_000),
            START * 300 - 14 * 86_400,
            START * 300 - 13 * 86_400,
            BaselineSource.PRODUCTION,
            phi=1.2,
            indicator_hash=slo.indicator_hash,
        )
        for slo in terms.slos
    }
    accepted = Version.of(
        STABLE, VersionSource.SPEC, promotion_time=START * 300 - 15 * 86_400, baseline=baselines
    )
    return DataProductStatus(stable=accepted)


def main() -> int:
    """Print the seconds of each kind of block as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=5000)
    args = parser.parse_args()
    source = random.Random(1)
    document = data_product(Product("bench", "search", number=0), "v1")
    document["spec"]["slos"] = [*SLOS[:3], CONVERSION]
    terms = terms_of(DataProduct.parse(document))
    portfolio = [
        {"v1": {name: series(rate, source) for name, rate in RATES.items()}}
        for _ in range(args.products)
    ]
    kept = [accepted_status(terms) for _ in portfolio]
    seconds = {}
    for kind, index in (("cold", START), ("within", START + 1), ("hour", START + 12)):
        for blocks in portfolio:
            for name, rate in RATES.items():
                newest = blocks["v1"][name].newest
                for fresh in range(newest + 1, index + 1):
                    blocks["v1"][name].record(
                        Block(fresh, Quality.COUNTED, draw(rate, 200, source))
                    )
        start_time = time.process_time()
        for place, blocks in enumerate(portfolio):
            observed = Observed(block=index, series=blocks)
            kept[place] = evaluate(terms, kept[place], observed, index * 300).status
        seconds[kind] = round(time.process_time() - start_time, 3)
    print(json.dumps({"products": args.products, "slos": len(RATES), "cpuSeconds": seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The cost of the log of predictions for a request: two pods of one bento, asked in turns.

    python -m tests.bentos.log_overhead --pairs 8000 --percent 10

Both have tokens in headers. One also logs a share of its requests to files. Each pair is a request
to both, in an order that is drawn, so that what else the machine does affects both alike.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import requests

from tests.bentos.test_token_headers import build
from tests.support.samples.products import ServedProduct, feedback_secret, identity, launched

BODY = json.dumps({"number": 7, "order": "x" * 1000})
HEADERS = {"Content-Type": "application/json"}
WARM_UP = 500


def main() -> None:
    """Measure, and print the quantiles of both."""
    parser = argparse.ArgumentParser(prog="tests.bentos.log_overhead", description=__doc__)
    parser.add_argument("--pairs", type=int, default=8000)
    parser.add_argument("--percent", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1, help="repetitions with new processes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        bento = build("service:Doubled", folder)
        for number in range(options.rounds):
            _measure(bento, folder / str(number), options.pairs, options.percent)


def _measure(bento: Path, folder: Path, pairs: int, percent: int) -> None:
    given = identity("doubled", "v1", feedback_secret(folder / "secret"))
    given |= {"SLUICEGATE_PREDICTION": json.dumps({"field": "result.double"})}
    log = {"sample": percent, "to": {"file": {"path": str(folder / "log")}}}
    with ExitStack() as stack:
        plain, logged = (
            stack.enter_context(launched(bento, folder / name, **given, **more))
            for name, more in (("plain", {}), ("logged", {"SLUICEGATE_LOG": json.dumps(log)}))
        )
        seconds = _alternating([plain, logged], pairs)
        rows = logged.counters("sluicegate_log_rows_written_total")[()]
    for quantile in (50, 99):
        before, after = (statistics.quantiles(each, n=100)[quantile - 1] for each in seconds)
        print(
            f"p{quantile}: {before * 1000:.3f} ms without, {after * 1000:.3f} ms with the log"
            f" ({after / before - 1:+.1%}); {pairs} pairs, {rows:.0f} rows"
        )


def _alternating(products: list[ServedProduct], pairs: int) -> list[list[float]]:
    """Return the seconds of each request, by product."""
    dice = random.Random(1)
    seconds: list[list[float]] = [[] for _ in products]
    sessions = [requests.Session() for _ in products]
    for pair in range(-WARM_UP, pairs):
        for index in dice.sample(range(len(products)), len(products)):
            begin = time.perf_counter()
            answer = sessions[index].post(
                f"{products[index].url}/double", data=BODY, headers=HEADERS, timeout=30
            )
            if pair >= 0:
                seconds[index].append(time.perf_counter() - begin)
            answer.raise_for_status()
    return seconds


if __name__ == "__main__":
    main()

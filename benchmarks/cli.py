"""The benchmarks' command line: which contenders, which sizes, which scenarios, and where to."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.contenders import CONTENDERS
from benchmarks.machine import describe_machine
from benchmarks.measure import Plan, measure
from benchmarks.own import SCENARIOS

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "docs" / "benchmarks.json"
DESCRIPTION: Final = """\
Measure the operator beside its peers and beside a bare client, on a real etcd, API server,
controller-manager and scheduler, with fake nodes. Each contender at each size gets a control
plane of its own. Results are added to a JSON file, from which the report is written
(`python -m benchmarks.report`).
"""


def main() -> int:
    """Run what the arguments ask for."""
    args = parse()
    plan = Plan(
        scenarios=tuple(args.scenarios),
        steady_seconds=args.steady_seconds,
        limit_seconds=args.limit_seconds,
    )
    for count in args.sizes:
        for name in args.contenders:
            say(f"{name}, N = {count}")
            keep = partial(record, args.output, name, count)
            asyncio.run(measure(CONTENDERS[name](), count, plan, say, keep=keep))
    return 0


def parse() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=[50, 500, 1000, 5000], metavar="N",
        help="numbers of products (default: 50 500 1000 5000)",
    )  # fmt: skip
    parser.add_argument(
        "--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS),
        help="who is measured (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS),
        help="what is measured (default: all); cold always is",
    )  # fmt: skip
    parser.add_argument(
        "--steady-seconds", type=float, default=Plan().steady_seconds, metavar="SECONDS",
        help="how long the steady state is watched (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--limit-seconds", type=float, default=Plan().limit_seconds, metavar="SECONDS",
        help="after which, and N / 3 more, a scenario is given up (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=RESULTS, metavar="FILE",
        help=f"JSON file that results are added to (default: {RESULTS.relative_to(ROOT)})",
    )  # fmt: skip
    return parser.parse_args()


def record(file: Path, name: str, count: int, results: dict[str, Any]) -> None:
    """Add the results of a contender at a size; those of an earlier run are replaced."""
    document: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"results": {}}
    document["machine"] = describe_machine()
    description = CONTENDERS[name]().description
    one = document["results"].setdefault(name, {"sizes": {}})
    one["version"], one["makes"] = description.version, description.makes
    one["notComparable"] = list(description.not_comparable)
    # Scenarios that weren't run this time keep their figures.
    one["sizes"].setdefault(str(count), {}).update(results)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n")


def say(line: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()

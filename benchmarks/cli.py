"""Command line of the benchmarks: contenders, sizes, scenarios, and the output."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks.contenders import CONTENDERS
from benchmarks.machine import describe_commit, describe_machine, is_same
from benchmarks.measure import Plan, measure
from benchmarks.sluicegate_contender import SCENARIOS
from cluster import builds
from cluster.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.scenarios.common import Figures

ROOT: Final = Path(__file__).resolve().parents[1]
CONTROL_PLANE: Final = ("etcd", "kube", "kwok")
"""Programs of each control plane."""
RESULTS: Final = ROOT / "docs" / "benchmarks.json"
DESCRIPTION: Final = """\
Measure the operator beside its peers and beside a bare client, on a real etcd, API server,
controller-manager and scheduler, with fake nodes. Each contender at each size gets a control
plane of its own. Results are added to a JSON file, from which the report is written
(`python -m benchmarks.report`).
"""


def main() -> int:
    """Run the selected benchmarks; return 1 if the harness failed with any.

    All programs are built first: a build beside a measurement takes its processors. A contender
    with which the harness fails is measured a second time; what failed twice is named at the end.
    """
    args = parse()
    buildable, broken = build_programs(args.contenders)
    plan = Plan(
        scenarios=tuple(args.scenarios),
        steady_seconds=args.steady_seconds,
        limit_seconds=args.limit_seconds,
        run=time.strftime("%Y-%m-%dT%H:%M:%S"),
        commit=describe_commit(),
    )
    for count in args.sizes:
        starts: dict[str, list[float]] = {name: [] for name in buildable}
        for round_number in range(1, args.rounds + 1):
            for name in buildable:
                whole = round_number == args.rounds and name not in args.cold_only
                chosen = plan if whole else replace(plan, scenarios=("cold",))
                title = f"{name}, N = {count}, round {round_number} of {args.rounds}"
                say(title)
                add = partial(record, args.output, name, count)
                keep = partial(record_rounds, add, starts[name])
                results = attempt(name, count, chosen, keep)
                if results is None:
                    say(f"{title}: measured once more")
                    results = attempt(name, count, chosen, keep)
                if results is None:
                    broken.append(title)
                else:
                    starts[name] += ready_seconds(results)
    for title in broken:
        say(f"not measured: {title}")
    return int(bool(broken))


def build_programs(contenders: Sequence[str]) -> tuple[list[str], list[str]]:
    """Build the programs of the control plane and of these contenders.

    Returns the contenders whose programs are built, and what failed of the others.

    Raises
    ------
    BuildError
        A program of the control plane can't be built.
    """
    say("the programs of all contenders are built")
    builds.build_all(CONTROL_PLANE)
    buildable, broken = [], []
    for name in contenders:
        try:
            builds.build_all(CONTENDERS[name]().description.programs)
        except BuildError as error:
            broken.append(f"{name}: {error}")
        else:
            buildable.append(name)
    return buildable, broken


def attempt(
    name: str, count: int, plan: Plan, keep: Callable[[Mapping[str, Figures]], None]
) -> Mapping[str, Figures] | None:
    """Measure one contender; return None, with a message, if the harness fails: hours of others may follow."""
    try:
        return asyncio.run(measure(CONTENDERS[name](), count, plan, say, keep=keep))
    except Exception:  # noqa: BLE001 - whatever it was
        say(f"{name}, N = {count}: the harness failed\n{traceback.format_exc()}")
        return None


def parse() -> argparse.Namespace:
    """Parse the arguments."""
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
        "--cold-only", nargs="+", choices=list(CONTENDERS), default=[], metavar="CONTENDER",
        help="of these only the cold start is measured, so that it has a ratio in a run that"
        " would take too long with all else of them",
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
        "--rounds", type=int, default=3, metavar="K",
        help="how often the cold start is measured, all contenders in turns; the median counts"
        " (default: %(default)d)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=RESULTS, metavar="FILE",
        help=f"JSON file that results are added to (default: {RESULTS.relative_to(ROOT)})",
    )  # fmt: skip
    return parser.parse_args()


def record(file: Path, name: str, count: int, results: Mapping[str, Figures]) -> None:
    """Add the results of a contender at a size; those of an earlier run are replaced.

    Figures of all contenders at this size from another machine or another Kubernetes are dropped,
    as they aren't comparable. Each size may have its own machine.
    """
    machine, size = describe_machine(), str(count)
    document: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"results": {}}
    machines = document.setdefault("machines", {})
    if not is_same(machines.setdefault(size, machine), machine):
        say(f"{file}: what another machine took for N = {count:,} is no longer kept")
        for other in document["results"].values():
            other["sizes"].pop(size, None)
    machines[size] = machine
    description = CONTENDERS[name]().description
    entry = document["results"].setdefault(name, {"sizes": {}})
    entry["version"], entry["makes"] = description.version, description.makes
    entry["notComparable"] = list(description.not_comparable)
    # Scenarios that weren't run this time keep their figures.
    entry["sizes"].setdefault(size, {}).update(results)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n")


def record_rounds(
    add: Callable[[Mapping[str, Figures]], None],
    starts: Sequence[float],
    results: Mapping[str, Figures],
) -> None:
    """Add the results, with the median of all rounds as the duration of a cold start.

    Parameters
    ----------
    add : function that stores the results. starts : seconds of the earlier cold starts.
    """
    rounds = [*starts, *ready_seconds(results)]
    if "failed" not in results["cold"]:
        cold = {"readySeconds": median(rounds), "readySecondsOfRounds": rounds}
        results = {**results, "cold": results["cold"] | cold}
    add(results)


def ready_seconds(results: Mapping[str, Figures]) -> list[float]:
    """Return the duration of the cold start; empty if it failed."""
    return [results["cold"]["readySeconds"]] if "readySeconds" in results["cold"] else []


def say(line: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()

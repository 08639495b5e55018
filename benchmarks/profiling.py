"""Where the operator's time goes: `python -m benchmarks.profiling 200`.

Runs cold start, steady state and a stop under Python's profiler, and sums what each package
spent in its own code. The profiler slows pure Python down, so read shares, not seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import pstats
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from benchmarks.cli import say
from benchmarks.contender import Program
from benchmarks.measure import Plan, measure
from benchmarks.own import Sluicegate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contender import Surroundings

SHOWN: Final = 15
PACKAGE: Final = re.compile(r"(?:site-packages|operator)/(sluicegate/\w+|\w+)")
WAITING: Final = "poll"
"""The event loop's wait for anything to happen."""


@dataclass(frozen=True, slots=True)
class Profiled(Sluicegate):
    """Our operator under the profiler; the profile is written when it stops."""

    file: Path = Path("profile")

    @override
    def program(self, surroundings: Surroundings) -> Program:
        """The same, with asyncio's own event loop: the profiler sees into it."""
        usual = Sluicegate.program(self, surroundings)
        python, *rest = usual.command
        return Program((python, "-m", "cProfile", "-o", str(self.file), *rest), usual.environment)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__)
    parser.add_argument("size", type=int, nargs="?", default=200, help="products (default: 200)")
    size: int = parser.parse_args().size
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "profile"
        plan = Plan(scenarios=("cold", "steady"))
        asyncio.run(measure(Profiled(file=file), size, plan, say))
        sys.stdout.write("\n".join(render(pstats.Stats(str(file)))) + "\n")
    return 0


def render(stats: pstats.Stats) -> Iterator[str]:
    """Shares by package, then the functions that took most themselves."""
    # mypy knows no attribute for the table that pstats prints from.
    table = {
        (file, function): own
        for (file, _, function), (_, _, own, _, _) in stats.stats.items()  # type: ignore[attr-defined]
        if WAITING not in function
    }
    total = sum(table.values())
    packages: Counter[str] = Counter()
    for (file, _), own in table.items():
        packages[_package(file)] += own
    yield f"{total:.1f} s of CPU under the profiler"
    for name, own in packages.most_common(SHOWN):
        yield f"{own / total:6.1%}  {name}"
    yield ""
    for (file, function), own in Counter(table).most_common(SHOWN):
        yield f"{own / total:6.1%}  {_package(file)}: {function}"


def _package(file: str) -> str:
    found = PACKAGE.search(file)
    if found:
        return found[1].removesuffix(".py")
    return "built-in" if file == "~" else "the standard library"


if __name__ == "__main__":
    sys.exit(main())

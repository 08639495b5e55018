"""`python -m tests.mutants`: change the operator's code a little, and see whether a test notices.

Of the drawn mutants that no test notices, mypy may refuse some: they are killed, too.

Ends with 1 if a named mutant survives, or no longer fits the code. Drawn mutants are only printed:
one that survives is an idea for a test.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from typing import TYPE_CHECKING

from tests.mutants.covering import Given, measured
from tests.mutants.mutant import named_mutants
from tests.mutants.running import Fate, Verdict, judge
from tests.mutants.sites import WHERE, drawn_mutants
from tests.mutants.typed import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.mutants.mutant import Mutant


def main() -> int:
    """Judge what is asked for, and say how it went."""
    asked = _arguments()
    everyone = [] if asked.drawn_only else named_mutants()
    named = [one for one in everyone if not asked.names or one.name in asked.names]
    if unknown := set(asked.names) - {one.name for one in named}:
        print(f"no such mutant: {' '.join(sorted(unknown))}; tests/mutants/named.yaml has them")
        return 2
    drawn = [] if asked.names else drawn_mutants(asked.count, asked.seed, where=asked.where)
    covering = Given(frozenset(asked.tests)) if asked.tests else measured(fresh=asked.fresh)
    verdicts: list[Verdict] = []
    for verdict in judge([*named, *drawn], covering, workers=asked.workers):
        _tell(verdict)
        verdicts.append(verdict)
    verdicts = _by_types(verdicts, drawn)
    drawn_verdicts = [verdict for verdict in verdicts if verdict.mutant in drawn]
    if drawn_verdicts:
        print(f"drawn: {_summary(drawn_verdicts)}")
    problems = _of_named([verdict for verdict in verdicts if verdict.mutant in named])
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="named mutants; all of them without")
    parser.add_argument("--count", type=int, default=0, help="how many others to draw")
    parser.add_argument("--drawn-only", action="store_true", help="without the named ones")
    parser.add_argument("--seed", type=int, default=1, help="which others to draw")
    parser.add_argument("--where", nargs="+", default=WHERE, help="packages or modules to draw of")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tests", nargs="+", help="files of tests to run, whatever they execute")
    parser.add_argument("--fresh", action="store_true", help="measure the coverage anew")
    return parser.parse_args()


def _tell(verdict: Verdict) -> None:
    mutant = verdict.mutant
    tests = f" ({verdict.tests} tests)" if verdict.fate is Fate.SURVIVED else ""
    by = f" by {verdict.by}" if verdict.fate is Fate.KILLED else f" {verdict.by}".rstrip()
    print(f"{mutant.name}  {verdict.fate}{tests}{by}", flush=True)
    if verdict.fate is not Fate.KILLED:
        print(f"    {mutant.file}: {mutant.rule}", flush=True)


def _by_types(verdicts: list[Verdict], drawn: Sequence[Mutant]) -> list[Verdict]:
    """Return the verdicts, with mypy's on drawn mutants of which no test says anything."""
    silent = {Fate.SURVIVED, Fate.UNEXECUTED}
    alive = [
        verdict.mutant for verdict in verdicts if verdict.mutant in drawn and verdict.fate in silent
    ]
    killed = {one: Verdict(one, Fate.KILLED, "mypy") for one in refused(alive)} if alive else {}
    for verdict in killed.values():
        _tell(verdict)
    return [killed.get(verdict.mutant, verdict) for verdict in verdicts]


def _of_named(verdicts: Sequence[Verdict]) -> list[str]:
    if not verdicts:
        return []
    print(f"named: {_summary(verdicts)}")
    return [
        f"{verdict.mutant.name}: {verdict.fate}; {_way_out(verdict.mutant, verdict.fate)}"
        for verdict in verdicts
        if verdict.fate is not Fate.KILLED
    ]


def _way_out(mutant: Mutant, fate: Fate) -> str:
    if fate is Fate.NOT_APPLICABLE:
        return f"give it its place in today's {mutant.file}, or take it out of named.yaml"
    return f"a test has to tell: {mutant.rule}"


def _summary(verdicts: Sequence[Verdict]) -> str:
    counted = Counter(verdict.fate for verdict in verdicts)
    each = ", ".join(f"{number} {fate}" for fate, number in counted.most_common())
    return f"{counted[Fate.KILLED]} of {len(verdicts)} killed ({each})"


if __name__ == "__main__":
    sys.exit(main())

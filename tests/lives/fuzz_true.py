"""`KIND=canaries COUNT=2000 make fuzz`, `KIND=years COUNT=200 make fuzz`: many lives with truth.

`KIND=histories COUNT=500 make fuzz` lives histories that end in the same spec, and compares their
ends; `KIND=upstreams COUNT=200 make fuzz` releases of an upstream, and decays beside them;
`KIND=releases COUNT=2000 make fuzz` the same by counts alone;
`KIND=consumers COUNT=200 make fuzz` canaries of an upstream whose effect on a consumer is known;
`KIND=faults COUNT=200 make fuzz` products whose served data go wrong, whose world drifts, or both. Each life's line goes to RESULTS as it ends (`.lives/canaries.jsonl` when left out), and a run
continues after the seeds that are there: those of another state of the code are lived again. At the
end the rates stand beside what is promised, with their exact bounds; what must never be is printed
reduced. SEED is the first seed, WORKERS the number of processes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from multiprocessing import Pool
from pathlib import Path
from typing import Any, Final

from tests.support.lives.canary_lives import draw_canary
from tests.support.lives.consumer_lives import draw_consumer
from tests.support.lives.counted_releases import draw_counted
from tests.support.lives.data_faults import draw_data_fault
from tests.support.lives.histories import draw_history
from tests.support.lives.known import known_of
from tests.support.lives.product_years import draw_year
from tests.support.lives.rates import Rates
from tests.support.lives.truth import TrueLife, report_of
from tests.support.lives.upstream_lives import draw_upstream

ROOT: Final = Path(__file__).parents[2]
DRAWN: Final = {
    "canaries": draw_canary,
    "years": draw_year,
    "histories": draw_history,
    "upstreams": draw_upstream,
    "releases": draw_counted,
    "consumers": draw_consumer,
    "faults": draw_data_fault,
}
COUNTS: Final = {
    "canaries": 2000,
    "years": 200,
    "histories": 500,
    "upstreams": 200,
    "releases": 2000,
    "consumers": 200,
    "faults": 200,
}
SOURCES: Final = ("operator/sluicegate", "benchmarks/virtual", "tests/support/lives")
"""What a life follows from, beside its seed."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a life went: what is written in its line."""

    seed: int
    code: str
    outcome: str
    judged: dict[str, bool]
    promised: dict[str, float]
    hours: float
    steps: int
    cpu: float
    known: tuple[str, ...] = ()
    text: str = ""
    story: tuple[str, ...] = ()
    """What happened, where an error did."""


@dataclass
class Tally:
    """All lives so far."""

    rates: Rates = field(default_factory=Rates)
    outcomes: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)
    hours: float = 0.0
    cpu: float = 0.0

    def take_in(self, one: Result) -> None:
        """Count a life."""
        self.rates.add(one.judged, one.promised)
        self.outcomes[one.outcome] += 1
        self.known.update(one.known)
        self.failed += [one.seed] * bool(one.text)
        self.hours += one.hours
        self.cpu += one.cpu

    def __str__(self) -> str:
        """In a few lines."""
        lives = self.outcomes.total()
        lines = [
            (
                f"{lives} lives, {self.hours / 24:.0f} days, {self.cpu / max(lives, 1):.1f} s of a core each;"
                f" {len(self.failed)} failed {self.failed or ''}"
            ),
            str(self.rates),
        ]
        lines += [f"known: {name} {number}" for name, number in sorted(self.known.items())]
        lines += [f"BROKEN: {one}" for one in self.rates.broken()]
        if len(self.outcomes) <= 20:
            lines += [f"{number} {name}" for name, number in self.outcomes.most_common()]
        return "\n".join(lines)


def main(kind: str) -> None:
    """Live those that haven't been lived yet, and sum up all."""
    first, number = int(os.environ.get("SEED") or 1), int(os.environ.get("COUNT") or COUNTS[kind])
    path = Path(os.environ.get("RESULTS") or ROOT / f".lives/{kind}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    code, tally = code_of(), Tally()
    seeds = range(first, first + number)
    there = {one.seed: one for one in read(path) if one.code == code and one.seed in seeds}
    for one in there.values():
        tally.take_in(one)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    workers = int(os.environ.get("WORKERS") or os.cpu_count() or 1)
    left = [(kind, seed, code) for seed in seeds if seed not in there]
    with Pool(workers, initializer=_begin) as pool, path.open("a") as file:
        try:
            for one in pool.imap_unordered(_live, left):
                print(json.dumps(asdict(one)), file=file, flush=True)
                tally.take_in(one)
                print(f"seed {one.seed}: {one.outcome}, {one.cpu:.1f} s", flush=True)
                if one.text:
                    print(one.text, flush=True)
        except KeyboardInterrupt:
            pool.terminate()
    print(tally, flush=True)
    sys.exit(bool(tally.failed or tally.rates.broken()))


def code_of() -> str:
    """A digest of all that a life follows from."""
    paths = sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    found = sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def read(path: Path) -> list[Result]:
    """The results of earlier runs; a line that was cut off is left out."""
    results = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        results.append(Result(**{**row, "known": tuple(row["known"])}))
    return results


def _begin() -> None:
    from tests.lives.fuzz import begin  # which imports this

    begin()


def _live(task: tuple[str, int, str]) -> Result:
    kind, seed, code = task
    life: TrueLife = DRAWN[kind](seed)
    begun = time.process_time()
    lived = life.live()
    cpu = time.process_time() - begun
    known = [one.name for violation in lived.violations if (one := known_of(life, violation))]
    fresh = tuple(violation for violation in lived.violations if known_of(life, violation) is None)
    text = ""
    if fresh:
        command = f"KIND={kind} SEED={seed} COUNT=1 make fuzz"
        text = report_of(life, replace(lived, violations=fresh), command, most=12)
    return Result(
        seed, code, lived.outcome, dict(lived.judged), dict(lived.promised), lived.seconds / 3600,
        lived.steps, cpu, tuple(known), text, lived.story if any(lived.judged.values()) else (),
    )  # fmt: skip

"""`make fuzz`: lives, in as many processes as WORKERS says, until it is stopped.

Prints each seed, how many steps a second there were in all, and what fails, shrunk; at the end what
the lives reach, and one line that sums up. SEED is where it begins, STEPS after how many steps it ends. A life follows from
its seed alone, whichever process lives it. With KIND the lives know the truth (fuzz_true.py).
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import Pool
from queue import SimpleQueue

from tests.lives import fuzz_true
from tests.support.lives.life import draw_life, is_blind, live
from tests.support.lives.reach import Table, read_listed
from tests.support.lives.telling import told
from tests.support.runs.collector import collect_rarely

WIDE = os.environ.get("WIDE", "1") != "0"
"""Whether lives draw from the whole spec."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a life: `text` is what failed, shrunk; empty where nothing did."""

    seed: int
    steps: int
    known: tuple[str, ...]
    text: str
    mirrored: int
    reached: tuple[int, ...]


@dataclass(slots=True)
class Tally:
    """What became of all lives so far."""

    begun: float = field(default_factory=time.monotonic)
    steps: int = 0
    failed: list[int] = field(default_factory=list)
    lives: int = 0
    mirrored: int = 0
    """Rows of mirrored requests that became evidence."""
    kinds: Counter[str] = field(default_factory=Counter)
    """How often each kind of step was drawn."""
    table: Table = field(default_factory=Table)
    """What the lives reach."""

    def take_in(self, outcome: Outcome) -> None:
        """Count a life, and print its line."""
        life = draw_life(outcome.seed, wide=WIDE)
        self.lives += 1
        self.steps += outcome.steps
        self.mirrored += outcome.mirrored
        self.table.add(outcome.reached)
        self.kinds.update(step.kind for step in life.steps)
        self.kinds.update(["no Prometheus at all"] * is_blind(life))
        known = f"; known: {', '.join(outcome.known)}" if outcome.known else ""
        print(
            f"seed {outcome.seed}: {outcome.steps} steps, {self.steps} in all,"
            f" {self.rate():.0f} a second{known}",
            flush=True,
        )
        if outcome.text:
            self.failed.append(outcome.seed)
            print(outcome.text, flush=True)

    def rate(self) -> float:
        """Steps a second."""
        return self.steps / (time.monotonic() - self.begun)

    def __str__(self) -> str:
        """In a line."""
        failed = f" ({', '.join(map(str, self.failed))})" if self.failed else ""
        kinds = ", ".join(f"{name} {times}" for name, times in sorted(self.kinds.items()))
        return (
            f"{self.steps} steps of {self.lives} lives, {self.rate():.0f} a second,"
            f" {len(self.failed)} lives failed{failed}; {self.mirrored} rows of mirrored requests;"
            f" switched on: {kinds}"
        )


def main() -> None:
    """Live until there were enough steps, or indefinitely."""
    if kind := os.environ.get("KIND"):
        fuzz_true.main(kind)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    workers = int(os.environ.get("WORKERS") or os.cpu_count() or 1)
    enough = float(os.environ.get("STEPS") or "inf")
    seeds, tally = count(int(os.environ.get("SEED") or "1")), Tally()
    with Pool(workers, initializer=begin) as pool:
        done: SimpleQueue[Outcome | BaseException] = SimpleQueue()

        def add() -> None:
            pool.apply_async(_live, (next(seeds),), callback=done.put, error_callback=done.put)

        try:
            for _ in range(2 * workers):
                add()
            while tally.steps < enough:
                add()
                if isinstance(outcome := done.get(), BaseException):
                    raise outcome
                tally.take_in(outcome)
        except KeyboardInterrupt:
            pass
    print(tally.table)
    print(*tally.table.problems(read_listed()), sep="\n")
    print(tally, flush=True)


def begin() -> None:
    """Start a process; the caller stops it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger("sluicegate").addHandler(logging.NullHandler())
    logging.getLogger("sluicegate").propagate = False
    collect_rarely()


def _live(seed: int) -> Outcome:
    life = draw_life(seed, wide=WIDE)
    lived = live(life)
    text = told(life, lived.violations[0]) if lived.violations else ""
    known = tuple(sorted({one.name for one in lived.known}))
    return Outcome(seed, lived.steps, known, text, lived.mirrored, lived.reached)


if __name__ == "__main__":
    main()

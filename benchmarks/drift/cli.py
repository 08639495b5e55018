"""Command line of the closed loop: streams, policies, seeds, and the output."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.drift import models, peers, policies, streams
from benchmarks.drift.engine import Engine
from benchmarks.drift.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.drift.run import Run
    from benchmarks.drift.streams import Stream

DESCRIPTION: Final = """\
Serve streams of labelled rows under the whole operator on virtual time, and under detectors of the
library river that train and serve at once. The first 2,000 rows train a version, the next 1,000
accept it, and the rest is served.
"""
DEFAULT_POLICIES: Final = (*policies.OWN, *peers.PEERS)
POLICIES: Final = (*DEFAULT_POLICIES, policies.MIRRORED)


@dataclass(frozen=True)
class Task:
    """One stream under one policy.

    Attributes
    ----------
    model : kind of the models. engine : whether the shortcut replaces the whole operator.
    """

    stream: Stream
    model: str
    policy: str
    seed: int
    engine: bool

    def run(self) -> tuple[Run, float]:
        """Run it; return the figures, and the seconds of CPU time."""
        began = time.process_time()
        trainer = models.Trainer(self.stream, self.model)
        if self.policy in peers.PEERS:
            run = peers.run(self.policy, trainer, self.seed)
        else:
            run = (Engine if self.engine else Whole)(trainer, self.policy, self.seed).run()
        return run, time.process_time() - began


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected tasks; return 2 if they can't be run."""
    options = parse(arguments)
    try:
        chosen = list(streams_of(options))
    except streams.InvalidStreamError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command's answer
        return 2
    runs = []
    for run, seconds in results(list(tasks(chosen, options)), options.processes):
        runs.append(run)
        say(run, seconds, log=options.log)
        if options.output:
            text = json.dumps([run.as_object() for run in runs], indent=1)
            options.output.write_text(text + "\n", encoding="utf-8")
    return 0


def tasks(chosen: Iterable[Stream], options: argparse.Namespace) -> Iterator[Task]:
    """Yield the tasks, in the order of the results."""
    for stream in chosen:
        for policy, seed in product(options.policies, options.seeds):
            if policy in peers.PEERS and seed != options.seeds[0]:
                continue  # they aren't random
            yield Task(stream, options.model, policy, seed, options.engine)


def results(chosen: Sequence[Task], processes: int) -> Iterator[tuple[Run, float]]:
    """Yield the results of the tasks, in their order."""
    if processes == 1:
        yield from map(Task.run, chosen)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each process takes one core
    context = multiprocessing.get_context("spawn")  # OpenMP doesn't survive a fork
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(Task.run, chosen)


def say(run: Run, seconds: float, *, log: bool) -> None:
    """Print a line of the table, and the decisions if requested."""
    line = (
        f"{run.stream:16} {run.policy:20} seed {run.seed}  {run.accuracy:6.1%} worst {run.worst:6.1%}"
        f"  {len(run.trainings):3} trainings ({run.decays} decays) {len(run.promotions):3} promotions"
        f"  {list(run.answered) or ''}  {seconds:.0f} s of a core"
    )
    print(line, flush=True)  # noqa: T201 - a command's answer
    for entry in run.log if log else ():
        print("   ", entry)  # noqa: T201 - the same


def streams_of(options: argparse.Namespace) -> Iterator[Stream]:
    """Yield the streams of the arguments; generated ones if there are none."""
    chosen = [streams.parse(argument) for argument in options.stream]
    if options.folder:
        chosen += streams.published(options.folder)
    if options.folder and options.volumes:
        chosen += streams.at_volumes(options.folder)
    if options.generated or not chosen:
        chosen += streams.generated()
    for stream in chosen:
        yield stream.first(options.rows)
        for seed in range(options.shuffles):
            yield stream.first(options.rows).shuffled(seed)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drift",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--stream",
        action="append",
        default=[],
        metavar="NAME=FEATURES.csv,LABELS.csv,ROWS_PER_BLOCK",
        help="a stream in files; repeatable. Commas or spaces separate numbers; no header",
    )
    parser.add_argument(
        "--folder", type=Path, help="has elec2_data.dat.gz, sea_data.csv.gz and their labels"
    )
    parser.add_argument(
        "--generated",
        action="store_true",
        help="add generated streams; without others they are all",
    )
    parser.add_argument(
        "--volumes",
        action="store_true",
        help="add generated streams whose rows come as the folder's counts of requests do",
    )
    parser.add_argument(
        "--shuffles", type=int, default=0, help="add so many shuffles of each stream"
    )
    parser.add_argument("--rows", type=int, help="use the first rows of each stream only")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=DEFAULT_POLICIES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--engine",
        action="store_true",
        help="a shortcut for development: the decision functions without the operator around them",
    )
    parser.add_argument("--processes", type=int, default=2, help="runs at a time")
    parser.add_argument("--model", choices=models.KINDS, default=models.BOOSTING)
    parser.add_argument("--output", type=Path, help="write the results here, as JSON")
    parser.add_argument("--log", action="store_true", help="print what was decided")
    return parser.parse_args(arguments)

"""Profile of the operator: `python -m benchmarks.profiling 500`.

It samples all threads of the operator during a cold start and for a while after it, and adds them
up by package. Waiting threads don't count, so shares are shares of work. The result is stored
beside the benchmarks' figures, from which `python -m benchmarks.report` generates the page.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.cli import RESULTS
from benchmarks.harness import open_stage, products
from benchmarks.scenarios.cold_start import cold_start, warm_up
from benchmarks.sluicegate_contender import Sluicegate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHOWN: Final = 16
SAMPLES_PER_SECOND: Final = 100
AFTER_SECONDS: Final = 60.0
"""Seconds of sampling after the last product is ready: their first blocks are read and evaluated."""
FRAME: Final = re.compile(r"(?:site-packages|operator)/(sluicegate/\w+|\w+)")
LIBRARY: Final = "the standard library"
EVENT_LOOP: Final = "the event loop itself"
LOOP: Final = re.compile(r"(Runner\.)?run \(\S*asyncio/runners\.py:")
"""The innermost frame while the loop polls sockets and runs callbacks, which aren't written in Python."""
WAITING: Final = re.compile(
    r"(select \(\S*selectors|wait \(\S*threading|_worker \(\S*concurrent/futures/\w+)\.py:"
)
"""Frames in which a thread waits, in case the sampler counts it as busy."""


def main() -> int:
    """Sample, print, and store."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profiling", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("size", type=int, nargs="?", default=500, help="products (default: 500)")
    size: int = parser.parse_args().size
    stacks = asyncio.run(sample(size))
    shares = by_package(stacks)
    sys.stdout.write("\n".join(f"{share:6.1%}  {name}" for name, share in shares.items()) + "\n")
    keep(
        {
            "products": size,
            "seconds": AFTER_SECONDS,
            "cpuSeconds": sum(stacks.values()) / SAMPLES_PER_SECOND,
            "packages": shares,
        }
    )
    return 0


async def sample(size: int) -> Counter[str]:
    """Return stacks of the busy threads, outermost frame first, with their number of samples."""
    contender = Sluicegate()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stacks"
        async with open_stage(contender, size) as stage:
            with stage.running() as process:
                await warm_up(stage, process, seconds=90)
                with sampling(process.pid, file):
                    await cold_start(stage, process, products(size), seconds=900)
                    await asyncio.sleep(AFTER_SECONDS)
        return parse(file.read_text())


@contextlib.contextmanager
def sampling(pid: int, file: Path) -> Iterator[None]:
    """Sample a process for the duration of the block."""
    program = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid)]
    options = ["--rate", str(SAMPLES_PER_SECOND), "--full-filenames", "--format", "raw"]
    sampler = subprocess.Popen(
        [*program, *options, "--output", str(file)], stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        sampler.send_signal(signal.SIGINT)
        sampler.wait(60)


def parse(text: str) -> Counter[str]:
    """Parse the sampler's stacks, "frame;frame;frame 12", without waiting ones."""
    stacks: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, number = line.rpartition(" ")
        if not WAITING.match(stack.rpartition(";")[2]):
            stacks[stack] += int(number)
    return stacks


def by_package(stacks: Mapping[str, int]) -> dict[str, float]:
    """Return the share of the work by package, of the innermost frame outside of the standard library.

    Work of the standard library for a package, such as parsing JSON, counts as the package's.
    """
    total = sum(stacks.values())
    totals: Counter[str] = Counter()
    for stack, number in stacks.items():
        frames = stack.split(";")
        packages = [_package(frame) for frame in reversed(frames)]
        package = next((one for one in packages if one != LIBRARY), LIBRARY)
        totals[EVENT_LOOP if LOOP.match(frames[-1]) else package] += number
    return {name: number / total for name, number in totals.most_common(SHOWN)}


def _package(frame: str) -> str:
    match_ = FRAME.search(frame)
    return match_[1].removesuffix(".py") if match_ else LIBRARY


def keep(profile: Mapping[str, Any]) -> None:
    """Store it beside the figures."""
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"results": {}}
    document["profile"] = profile
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())

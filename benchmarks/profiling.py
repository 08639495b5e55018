"""Where the operator's time goes: `python -m benchmarks.profiling 500`.

Samples all threads of the operator during a cold start and for a while after it, and sums them by
package. Threads that wait don't count, so shares are shares of work. The result is kept beside the
benchmarks' figures, from which `python -m benchmarks.report` writes the page.
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
"""Watched after the last product is ready: their first blocks settle and are judged."""
FRAME: Final = re.compile(r"(?:site-packages|operator)/(sluicegate/\w+|\w+)")
LIBRARY: Final = "the standard library"
EVENT_LOOP: Final = "the event loop itself"
LOOP: Final = re.compile(r"(Runner\.)?run \(\S*asyncio/runners\.py:")
"""The innermost frame while the loop polls sockets and calls back: it isn't written in Python."""
WAITING: Final = re.compile(
    r"(select \(\S*selectors|wait \(\S*threading|_worker \(\S*concurrent/futures/\w+)\.py:"
)
"""Frames in which a thread waits, should the sampler take it for busy."""


def main() -> int:
    """Sample, print, and keep."""
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
    """Stacks of the busy threads, outermost frame first, with how often each was seen."""
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
    """Sample a process while the block lasts."""
    program = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid)]
    form = ["--rate", str(SAMPLES_PER_SECOND), "--full-filenames", "--format", "raw"]
    sampler = subprocess.Popen([*program, *form, "--output", str(file)], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        sampler.send_signal(signal.SIGINT)
        sampler.wait(60)


def parse(text: str) -> Counter[str]:
    """Stacks as the sampler writes them, "frame;frame;frame 12", without those that wait."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, number = line.rpartition(" ")
        if not WAITING.match(stack.rpartition(";")[2]):
            found[stack] += int(number)
    return found


def by_package(stacks: Mapping[str, int]) -> dict[str, float]:
    """Share of the work by package, of the innermost frame that isn't the standard library's.

    What a package lets the standard library do for it, such as parsing JSON, is its own work.
    """
    total = sum(stacks.values())
    found: Counter[str] = Counter()
    for stack, number in stacks.items():
        frames = stack.split(";")
        packages = [_package(frame) for frame in reversed(frames)]
        who = next((one for one in packages if one != LIBRARY), LIBRARY)
        found[EVENT_LOOP if LOOP.match(frames[-1]) else who] += number
    return {name: number / total for name, number in found.most_common(SHOWN)}


def _package(frame: str) -> str:
    found = FRAME.search(frame)
    return found[1].removesuffix(".py") if found else LIBRARY


def keep(profile: Mapping[str, Any]) -> None:
    """Put it beside the figures."""
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"results": {}}
    document["profile"] = profile
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())

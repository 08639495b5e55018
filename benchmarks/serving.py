"""What a request costs in a product's pod: `python -m benchmarks.serving`, some minutes.

The same bento is served by `bentoml serve`, by the launcher of the runtime image, and by the launcher
with tokens, markets, the labelled log or mirrored requests. Each round starts every program once, in
an order that rotates, and measures until it is ready, then small and large requests over a fixed
number of connections. A figure is the median of the rounds. CPU is that of the program and of what it
started, by request. Ratios are to `bentoml serve`, and those
of the launcher's options to the launcher.

Client and program share the machine's cores. A mirrored request is answered by a second program on the
same cores, so its row is an upper bound.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from benchmarks.contender import Program
from benchmarks.process import TICKS, Process
from sluicegate_service.bentos import extract

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CONNECTIONS: Final = 8
REQUESTS: Final = 3_000
"""Requests of a measurement, after a tenth of them for warm-up."""
ROUNDS: Final = 3
READY_SECONDS: Final = 120
SOURCE: Final = Path(__file__).with_name("served_bento")
BODIES: Final[dict[str, dict[str, Any]]] = {
    "small": {"number": 21},
    "large": {"rows": [[float(cell) for cell in range(50)] for _ in range(100)]},
}
PERCENTILES: Final = (50, 90, 99, 99.9)
BASE: Final = "bentoml serve"
LAUNCHER: Final = "launcher"
BUILD: Final = """
import sys, bentoml
source, target = sys.argv[1:]
bento = bentoml.bentos.build(
    "service:Echo", name="echo", version="v1", build_ctx=source,
    include=["service.py"], python={"packages": ["bentoml"], "lock_packages": False},
)
bentoml.bentos.export_bento(bento.tag, target)
"""


@dataclass(frozen=True, slots=True)
class ServingProgram:
    """A way to serve the bento.

    Attributes
    ----------
    variables : of its environment, besides those of all. headers : of each request.
    mirrored : whether a second program answers the mirrored requests.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    mirrored: bool = False


@dataclass(slots=True)
class Figures:
    """Figures of one program in one round; latencies, seconds and CPU by kind of request."""

    ready_seconds: float = 0.0
    resident_bytes: int = 0
    latencies: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)


def programs(folder: Path) -> tuple[ServingProgram, ...]:
    """Return the programs that are compared, the base first."""
    keys = folder / "keys"
    keys.mkdir()
    (keys / "hmac").write_bytes(os.urandom(32))
    (keys / "bearer").write_text("token-of-the-benchmark")
    prediction = {"SLUICEGATE_PREDICTION": json.dumps({"field": "prediction"})}
    tokens = prediction | {"SLUICEGATE_FEEDBACK_DIRECTORY": str(keys)}
    markets = {"markets": ["AT", "DE", "FR"], "from": "Header", "name": "x-market",
               "thresholds": [250]}  # fmt: skip
    log = {"sample": 10, "to": {"file": {"path": str(folder / "log")}}}
    (folder / "log").mkdir()
    return (
        ServingProgram(BASE),
        ServingProgram(LAUNCHER),
        ServingProgram("launcher, tokens", tokens),
        ServingProgram(
            "launcher, markets", {"SLUICEGATE_MARKETS": json.dumps(markets)}, {"x-market": "AT"}
        ),
        ServingProgram(
            "launcher, tokens, log of 10 %", tokens | {"SLUICEGATE_LOG": json.dumps(log)}
        ),
        ServingProgram("launcher, tokens, 10 % mirrored", tokens, mirrored=True),
    )


def build(folder: Path) -> Path:
    """Build the bento with BentoML, and return its folder as a pod mounts it."""
    target = folder / "echo.bento"
    subprocess.run(
        [sys.executable, "-c", BUILD, str(SOURCE), str(target)],
        check=True,
        env=environment(folder / "store"),
        cwd=folder,
    )
    extract(target, folder / "bento")
    return folder / "bento"


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a program: a store of BentoML of its own, one thread a library."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(threads, "1"),
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "SLUICEGATE_NAMESPACE": "benchmarks",
        "SLUICEGATE_PRODUCT": "echo",
        "SLUICEGATE_VERSION": "v1",
        "SLUICEGATE_REVISION": "v1v1v1v1v1",
    }


@dataclass(frozen=True, slots=True)
class Served:
    """A running program: its process, and the addresses of its API and of its probes."""

    process: Process
    api: str
    probes: str

    async def ready(self, session: aiohttp.ClientSession) -> float:
        """Wait until it is ready; return the seconds since its start."""
        while time.monotonic() - self.process.started < READY_SECONDS:
            self.process.require()
            try:
                async with session.get(f"{self.probes}/readyz") as answer:
                    if answer.ok:
                        return time.monotonic() - self.process.started
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
        raise TimeoutError(self.process.log.read_text(errors="replace")[-2000:])


def start(program: ServingProgram, bento: Path, folder: Path, mirror: str = "") -> Served:
    """Return a program that isn't started yet; `mirror` is the address of a candidate's pod."""
    folder.mkdir(parents=True)
    api, metrics = free_port(), free_port()
    variables = {**environment(folder / "home"), **program.variables}
    if program.mirrored:
        url = mirror or f"http://127.0.0.1:{free_port()}"
        variables["SLUICEGATE_MIRROR"] = json.dumps(
            {"url": url, "percent": 10, "timeoutMilliseconds": 1_000, "maxConcurrency": 4}
        )
        if not mirror:
            variables |= {"SLUICEGATE_VERSION": "v2", "SLUICEGATE_REVISION": "v2v2v2v2v2"}
    if program.name == BASE:
        probes = api
        command = [
            *(sys.executable, "-m", "bentoml", "serve", str(bento)),
            *("--host", "127.0.0.1", "--port", str(api)),
        ]
    else:
        probes = metrics
        command = [
            *(sys.executable, "-m", "sluicegate_service.launcher", str(bento)),
            *("--host", "127.0.0.1", "--api-port", str(api), "--metrics-port", str(metrics)),
        ]
    process = Process(Program(tuple(command), variables), folder / "log")
    return Served(process, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{probes}")


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def load(
    session: aiohttp.ClientSession, url: str, body: Mapping[str, Any], count: int
) -> list[float]:
    """Send requests over all connections, one after another on each; return the latencies."""
    data, latencies = json.dumps(body).encode(), []
    remaining = iter(range(count))

    async def send() -> None:
        for _ in remaining:
            began = time.perf_counter()
            async with session.post(url, data=data) as answer:
                await answer.read()
                answer.raise_for_status()
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(send() for _ in range(CONNECTIONS)))
    return latencies


async def measure_one(
    program: ServingProgram, bento: Path, folder: Path, *, requests: int, mirror: str = ""
) -> Figures:
    """Start a program, measure it, and end it."""
    figures, served = Figures(), start(program, bento, folder, mirror)
    headers = {"content-type": "application/json", **program.headers}
    async with aiohttp.ClientSession(headers=headers) as session:
        with served.process:
            figures.ready_seconds = await served.ready(session)
            for kind, body in BODIES.items():
                url = f"{served.api}/{kind}"
                await load(session, url, body, requests // 10)
                used, began = cpu_seconds(served.process.pid), time.perf_counter()
                figures.latencies[kind] = await load(session, url, body, requests)
                figures.seconds[kind] = time.perf_counter() - began
                figures.cpu_seconds[kind] = cpu_seconds(served.process.pid) - used
            figures.resident_bytes = sum(map(resident_bytes, tree(served.process.pid)))
    return figures


async def measure_mirrored(
    program: ServingProgram, bento: Path, folder: Path, *, requests: int
) -> Figures:
    """Measure a program whose mirrored requests a candidate's pod answers."""
    candidate = start(program, bento, folder / "candidate")
    async with aiohttp.ClientSession() as session:
        with candidate.process:
            await candidate.ready(session)
            return await measure_one(
                program, bento, folder / "stable", requests=requests, mirror=candidate.api
            )


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all processes that it started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Return the CPU that a process and those that it started have used."""
    fields = (Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in tree(pid))
    return sum(int(user) + int(system) for *_, user, system in (row[:13] for row in fields)) / TICKS


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def measure(requests: int, rounds: int) -> dict[str, list[Figures]]:
    """Measure all programs in each round, in an order that rotates."""
    figures: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="sluicegate-serving-") as name:
        folder = Path(name)
        bento, compared = build(folder), programs(folder)
        for number in range(rounds):
            first = number % len(compared)
            for program in (*compared[first:], *compared[:first]):
                run = measure_mirrored if program.mirrored else measure_one
                place = folder / f"{number}-{compared.index(program)}"
                result = await run(program, bento, place, requests=requests)
                figures.setdefault(program.name, []).append(result)
                sys.stderr.write(f"round {number + 1}: {program.name}\n")
        return {program.name: figures[program.name] for program in compared}


def row(rounds: Sequence[Figures]) -> dict[str, float]:
    """Return the medians of a program's rounds: milliseconds, requests a second, MiB, seconds."""
    values: dict[str, float] = {
        "ready_seconds": statistics.median(one.ready_seconds for one in rounds),
        "resident_mib": statistics.median(one.resident_bytes for one in rounds) / 2**20,
    }
    for kind in BODIES:
        for percentile in PERCENTILES:
            values[f"{kind}_p{percentile:g}_ms"] = 1000 * statistics.median(
                at(one.latencies[kind], percentile) for one in rounds
            )
        values[f"{kind}_cpu_ms"] = 1000 * statistics.median(
            one.cpu_seconds[kind] / len(one.latencies[kind]) for one in rounds
        )
        values[f"{kind}_per_second"] = statistics.median(
            len(one.latencies[kind]) / one.seconds[kind] for one in rounds
        )
    return {name: round(value, 2) for name, value in values.items()}


def at(latencies: Sequence[float], percentile: float) -> float:
    """Return a percentile of latencies, the next higher one that occurred."""
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percentile / 100))]


def ratios(rows: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return each row divided by that of `bentoml serve`, or by the launcher's for its options."""
    return {
        name: {
            key: round(value / rows[BASE if name == LAUNCHER else LAUNCHER][key], 3)
            for key, value in values.items()
        }
        for name, values in rows.items()
        if name != BASE
    }


def main() -> None:
    """Measure, and print rows and ratios as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments.requests, arguments.rounds))
    rows = {name: row(rounds) for name, rounds in figures.items()}
    text = json.dumps({"rows": rows, "ratios": ratios(rows)}, indent=2)
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()

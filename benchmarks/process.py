"""A contender's process, with the kernel's measurements of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from benchmarks.contender import Program

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Process:
    """One running program, as a context manager that ends it."""

    program: Program
    log: Path
    started: float = 0.0
    _popen: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self.started = time.monotonic()
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                list(self.program.command),
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.program.environment},
                cwd=ROOT,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it at once, if it still runs."""
        if self.is_alive:
            self._running.kill()
        self._running.wait(15)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._popen, "not started"
        return self._popen

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._running.poll() is None

    def require(self) -> None:
        """Raise with its last lines if it has ended."""
        if not self.is_alive:
            last = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
            raise RuntimeError(f"{self.program.command[0]} ended; its last lines:\n{last}")

    async def stop(self, seconds: float = 30.0) -> float:
        """End it with SIGTERM, as Kubernetes does; return the seconds."""
        began = time.monotonic()
        self._running.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self._running.wait, seconds)
        return time.monotonic() - began

    def cpu_seconds(self) -> float:
        """Return user and system time so far, including awaited children."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS

    def memory_mib(self, kind: str = "VmRSS") -> float:
        """Return resident memory; its peak for `VmHWM`."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"/proc/{self.pid}/status has no {kind}")


@dataclass
class CpuSeconds:
    """CPU time for each second of a block, to distinguish idle time and bursts."""

    process: Process
    samples: list[float] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        self._task = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        assert self._task
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _sample(self) -> None:
        before, at = self.process.cpu_seconds(), time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            now, then = self.process.cpu_seconds(), time.monotonic()
            self.samples.append((now - before) / (then - at))
            before, at = now, then

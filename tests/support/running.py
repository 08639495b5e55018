"""Programs that run while a test needs them, and end with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """A program in a process group of its own, writing to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End a program and all its children, and wait for them.

    Children may sit in groups of their own, as BentoML's workers do, and outlive a killed parent.
    """
    family = [psutil.Process(process.pid)] if process.poll() is None else []
    for each in [*family]:
        family += each.children(recursive=True)
    if how is signal.SIGKILL:
        _kill(family)
    elif process.poll() is None:
        process.send_signal(how)
    _, alive = psutil.wait_procs(family, timeout=15)
    _kill(alive)
    process.wait(15)


def _kill(family: list[psutil.Process]) -> None:
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.kill()


@contextmanager
def running(command: Sequence[str], *, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program for the length of a block."""
    process = start(command, log=log)
    try:
        yield process
    finally:
        stop(process)

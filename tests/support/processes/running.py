"""Programs that run while a test needs them, and end with it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import psutil

from cluster.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


_given: deque[ExitStack] = deque()
HELD = 64


def free_port() -> int:
    """Return a free loopback port that is given to no other test.

    So it stays free until the program that it is for has come so far, which takes seconds. It is
    held until so many more were asked for that the program has ended or listens.
    """
    with ExitStack() as stack:
        (port,) = stack.enter_context(free_ports(1))
        _given.append(stack.pop_all())
    while len(_given) > HELD:
        _given.popleft().close()
    return port


def start(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Return a program in a process group of its own, writing to `log`."""
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
    """Yield a program for the length of a block."""
    process = start(command, log=log)
    try:
        yield process
    finally:
        stop(process)

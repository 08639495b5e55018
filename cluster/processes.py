"""Long-running programs that outlive the command which started them.

A process is recorded by its id *and* its start time, so that an id which the kernel has reused is
never signalled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.cache import write_atomically
from cluster.errors import NO_SPACE, StartError, disk_full

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_TAIL = 8
# In the environment of what is started: the folder of its record. A start that is interrupted
# before the record is written would leave a program without a record.
MARK = "SLUICEGATE_PROCESSES"


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: its name in the cluster, its command line and what it needs around it."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def key(self) -> str:
        """Return a key that changes with the command, so that a new version replaces the running one."""
        content = json.dumps([self.arguments, dict(self.environment)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Process:
    """A started process; `started` is in clock ticks since the machine's start."""

    pid: int
    started: int
    key: str

    def is_alive(self) -> bool:
        """Return whether the process or one of its threads runs: it holds its ports until the last ends.

        A killed program is a zombie as soon as its first thread has ended; one that has ended
        whole isn't alive, whether its parent knows or not.
        """
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return start_time(self.pid) == self.started and not has_ended(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process; do nothing if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if self.is_alive():
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process; return whether it ended in time."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if self.is_alive():
                _has_ended(descriptor, seconds)
        finally:
            os.close(descriptor)
        return not self.is_alive()

    def stop(self, grace: float) -> None:
        """End it: politely, then after `grace` seconds by force.

        The force is needed: kube-apiserver stays for a minute after SIGTERM while watches are
        open, and keeps its port.
        """
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if not self.wait(grace):
            self.signal(signal.SIGKILL)
            self.wait(5.0)


def has_ended(pid: int) -> bool:
    """Return whether all threads of a process have ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return _has_ended(descriptor, 0.0)
    finally:
        os.close(descriptor)


def _has_ended(descriptor: int, seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(1000 * seconds))


def is_identifiable(pid: int) -> bool:
    """Return whether the kernel shows arguments and environment of a program that was just started.

    The call that starts it returns as soon as it borrows nothing of ours any more, which is a
    moment before that: until then it has no mark.
    """
    folder = Path(f"/proc/{pid}")
    try:
        return bool((folder / "cmdline").read_bytes() and (folder / "environ").read_bytes())
    except OSError:  # it has ended, or belongs to another user
        return True


def start_time(pid: int) -> int | None:
    """Return the start of the process in clock ticks since boot; None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name may hold blanks and brackets; what follows its last bracket doesn't.
    return int(stat.rpartition(")")[2].split()[19])


class Processes:
    """The programs of one cluster: a folder of records and a folder of logs."""

    def __init__(self, folder: Path, prefix: tuple[str, ...] = ()) -> None:
        """Store the folder; `prefix` precedes each command, e.g. to enter a network namespace."""
        self._folder = folder
        self._prefix = prefix
        self._records = folder / "processes"
        self.logs = folder / "logs"

    def names(self) -> list[str]:
        """Return the names of programs that were started and not stopped, in the order of their start."""
        records = [path for path in self._records.glob("*.json") if path.name[0] != "."]
        return [path.stem for path in sorted(records, key=lambda path: path.stat().st_mtime_ns)]

    def find(self, name: str) -> Process | None:
        """Return the record of a program, whether it still runs or not."""
        try:
            return Process(**json.loads((self._records / f"{name}.json").read_text()))
        except FileNotFoundError:
            return None

    def is_alive(self, name: str) -> bool:
        """Return whether the program runs."""
        process = self.find(name)
        return process is not None and process.is_alive()

    def ensure(self, command: Command) -> bool:
        """Start the command unless it runs as it is; True if it was started."""
        process = self.find(command.name)
        if process and process.is_alive():
            if process.key == command.key():
                return False
            process.stop(grace=5.0)
        self.start(command)
        return True

    def start(self, command: Command) -> Process:
        """Start a program in a session of its own, its output appended to its log."""
        for forgotten in self._marked(command.arguments):
            forgotten.stop(grace=0.0)
        self.logs.mkdir(parents=True, exist_ok=True)
        log = os.open(self.log(command.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        arguments = [*self._prefix, *command.arguments]
        try:
            pid = os.posix_spawnp(
                arguments[0],
                arguments,
                {**os.environ, **command.environment, MARK: str(self._records)},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
                # What Python ignores would stay ignored in the program.
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ],
            )
        finally:
            os.close(log)
        while not (is_identifiable(pid) or has_ended(pid)):
            time.sleep(0.001)
        process = Process(pid, start_time(pid) or 0, command.key())
        write_atomically(self._records / f"{command.name}.json", json.dumps(asdict(process)))
        return process

    def stop(self, name: str, *, grace: float = 5.0) -> None:
        """End a program and delete its record; do nothing if it has ended."""
        process = self.find(name)
        if process:
            process.stop(grace)
        (self._records / f"{name}.json").unlink(missing_ok=True)

    def stop_all(self, *, grace: float) -> None:
        """End all programs, the last started first; all get the signal before the first wait.

        What the programs have started themselves is ended too.
        """
        names = list(reversed(self.names()))
        running = [process for name in names if (process := self.find(name))]
        for process in running:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM if grace else signal.SIGKILL)
        deadline = time.monotonic() + grace
        for process in running:
            process.wait(max(0.0, deadline - time.monotonic()))
        for name in names:
            self.stop(name, grace=0.0)
        for process in self._marked():
            process.stop(grace=0.0)

    def _marked(self, arguments: tuple[str, ...] = ()) -> list[Process]:
        """Return processes with this folder's mark whose command line ends with `arguments`."""
        mark = f"{MARK}={self._records}".encode()
        command_line = [argument.encode() for argument in arguments]
        pids = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes().split(b"\0")[:-1]
                is_same = line[len(line) - len(command_line) :] == command_line
                if is_same and mark in (folder / "environ").read_bytes().split(b"\0"):
                    pid = int(folder.name)
                    pids.append(Process(pid, start_time(pid) or 0, key=""))
        return pids

    def log(self, name: str) -> Path:
        """Return the file with a program's output."""
        return self.logs / f"{name}.log"

    def failure(self, name: str, problem: str) -> Exception:
        """Return the error for a program that isn't as it should be, with the end of its log."""
        log = self.log(name)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        if any(NO_SPACE in line for line in lines[-50:]):
            return disk_full(self._folder, f"run {name}")
        last = "\n".join(lines[-LOG_TAIL:])
        return StartError(f"{name} {problem}; {log} ends with:\n{last}")

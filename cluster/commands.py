"""Short programs that are run to their end, with their errors turned into sentences."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING

from cluster.errors import NO_SPACE, ClusterError, DiskFullError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LAST_LINES = 5
REST_SECONDS = 5.0  # for what a program that ended had still to say
# Debian's root shell has these; a plain user's or a container's may not.
SYSTEM_PATH = ":/usr/local/sbin:/usr/sbin:/sbin"


def run(
    *command: str,
    stdin: str | None = None,
    timeout: float = 120.0,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Return the standard output of a program that exits with 0.

    Raises
    ------
    ClusterError
        It failed, or took longer than `timeout` seconds; the message is its last words.
    """
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**system_environment(), **(environment or {})},
            cwd=folder,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{command[0]} is not on this machine") from error
    except subprocess.TimeoutExpired as error:
        command_line = shlex.join(command)
        raise ClusterError(f"`{command_line}` did not end within {timeout:.0f} s") from error
    if done.returncode:
        output = (done.stderr or done.stdout).strip()
        if NO_SPACE in output:
            raise DiskFullError(f"the disk is full: {output.splitlines()[-1]}")
        raise ClusterError(f"`{shlex.join(command)}` failed: {output or done.returncode}")
    return done.stdout


def follow(
    *command: str,
    log: Path,
    timeout: float,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a program that takes minutes, and show its output as it arrives.

    All of it is kept in `log`.

    Raises
    ------
    ClusterError
        It failed, or took longer than `timeout` seconds; the message has its last lines.
    """
    with (
        log.open("w") as kept,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**system_environment(), **(environment or {})},
            cwd=folder,
        ) as process,
    ):
        assert process.stdout is not None
        reader = threading.Thread(target=_show, args=(process.stdout, kept), daemon=True)
        reader.start()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise ClusterError(
                f"`{shlex.join(command)}` did not end within {timeout:.0f} s; {log} has all it said"
            ) from error
        finally:
            if process.poll() is None:
                process.terminate()
            reader.join(REST_SECONDS)
    if code:
        last = "\n".join(log.read_text().splitlines()[-LAST_LINES:])
        if NO_SPACE in last:
            raise DiskFullError(f"the disk is full: {last.splitlines()[-1]}")
        raise ClusterError(
            f"`{shlex.join(command)}` failed; {log} has all it said, and these are its last lines:\n{last}"
        )


def _show(output: IO[str], kept: IO[str]) -> None:
    for line in output:
        kept.write(line)
        print(line, end="", file=sys.stderr, flush=True)


def succeeds(*command: str) -> bool:
    """Return whether a program exists and exits with 0."""
    try:
        done = subprocess.run(command, capture_output=True, env=system_environment(), check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def system_environment() -> dict[str, str]:
    """Return the environment with the system's own programs on PATH."""
    return {**os.environ, "PATH": os.environ.get("PATH", "") + SYSTEM_PATH}

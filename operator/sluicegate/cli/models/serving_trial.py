"""A trial of a bento: it is served for some seconds, as in a pod."""

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import requests

from sluicegate_service.findings import Finding

DEADLINE_SECONDS: Final = 120.0
PAUSE_SECONDS: Final = 0.2
LAST_LINES: Final = 12


def trial(bento: Path) -> Finding | None:
    """Start the bento with the runtime image's launcher; return the failure, or None once it is ready.

    It runs in this Python, with its packages, which should be those of the runtime.
    """
    if importlib.util.find_spec("bentoml") is None:
        return Finding.error(
            "--serve",
            "needs BentoML in this environment: install the bento's packages, with"
            " -c <(sluicegate runtime-constraints)",
        )
    with tempfile.TemporaryDirectory(prefix="sluicegate-serve-") as scratch:
        return _served(bento, Path(scratch))


def _served(bento: Path, scratch: Path) -> Finding | None:
    api, metrics = _free_port(), _free_port()
    command = [
        sys.executable,
        "-m",
        "sluicegate_service.launcher",
        str(bento),
        "--host",
        "127.0.0.1",
    ]
    ports = ["--api-port", str(api), "--metrics-port", str(metrics), "--graceful-seconds", "1"]
    log = scratch / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*command, *ports],
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            env={**os.environ, "BENTOML_HOME": str(scratch / "home")},
        )
        try:
            ready = _becomes_ready(process, f"http://127.0.0.1:{metrics}/readyz")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    if ready:
        return None
    last_output = "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
    return Finding.error("serving", f"it does not become ready; its output:\n{last_output}")


def _becomes_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    until = time.monotonic() + DEADLINE_SECONDS
    with requests.Session() as session:
        session.trust_env = False
        while process.poll() is None and time.monotonic() < until:
            try:
                if session.get(url, timeout=5).ok:
                    return True
            except requests.RequestException:
                pass
            time.sleep(PAUSE_SECONDS)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""The report on both products' reviews, as one page for their managers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from cluster.identity import CHECKOUT
from demo.errors import DemoError

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.backend import Backend

PAGE = CHECKOUT / "demo-review.html"
SCRAPE_SECONDS = "1"
SECONDS = 120


def write_review(backend: Backend, prometheus: str) -> Path:
    """Write the page, by the command that a person uses; return where it lies.

    Raises
    ------
    DemoError
        The command failed; the message has its words.
    """
    environment = {
        **os.environ,
        "KUBECONFIG": str(backend.kubeconfig),
        "SLUICEGATE_PROMETHEUS_URL": prometheus,
        "SLUICEGATE_SCRAPE_INTERVAL_SECONDS": SCRAPE_SECONDS,
        "SLUICEGATE_SETTLE_SECONDS": SCRAPE_SECONDS,
    }
    command = ["report", "--all", "--live", "-o", "html", "--file", str(PAGE)]
    done = subprocess.run(
        [sys.executable, "-m", "sluicegate", *command],
        env=environment, capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise DemoError(f"sluicegate {' '.join(command)} failed: {done.stderr.strip()}")
    return PAGE

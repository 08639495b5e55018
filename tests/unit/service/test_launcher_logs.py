"""The pod's log: BentoML formats it, and disables no logger of the library or of the service."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import logging
from sluicegate_service import launcher, prediction_log
own = logging.getLogger("service.of.a.product")
off = logging.getLogger("switched.off")
off.disabled = True
launcher._configure_logs()
for logger in (launcher.log, prediction_log.log, own, off):
    logger.warning("from %s", logger.name)
"""


def test_warnings_of_library_and_service_are_in_the_pod_log():
    lines = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    names = ("sluicegate.launcher", "sluicegate.log", "service.of.a.product")
    assert [line.rpartition(" ")[2] for line in lines] == list(names)
    assert all("[WARNING]" in line for line in lines)

"""The message that a container leaves behind, for Kubernetes to put into the pod's status."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PATH_ENV = "SLUICEGATE_TERMINATION_LOG"
DEFAULT_PATH = "/dev/termination-log"
MAX_BYTES = 4096  # the kubelet cuts what is longer


def write_termination_message(message: str) -> None:
    """Write `message`, cut to what the kubelet reads; without a kubelet, write nothing."""
    path = Path(os.environ.get(PATH_ENV, DEFAULT_PATH))
    with contextlib.suppress(OSError):
        path.write_bytes(message.encode()[:MAX_BYTES])

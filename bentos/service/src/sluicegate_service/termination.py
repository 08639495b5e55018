"""The termination message of a container, which Kubernetes puts into the pod's status."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sluicegate_service import environment as names

MAX_BYTES = 4096  # the kubelet cuts what is longer


def write_termination_message(message: str) -> None:
    """Write `message`, cut to the kubelet's limit; without a kubelet, write nothing."""
    path = Path(os.environ.get(names.TERMINATION_LOG) or names.DEFAULT_TERMINATION_LOG)
    with contextlib.suppress(OSError):
        path.write_bytes(message.encode()[:MAX_BYTES])

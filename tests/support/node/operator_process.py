"""The operator as a process of this machine, against the cluster of a kubeconfig."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.processes.running import free_port, start, stop

if TYPE_CHECKING:
    import subprocess

    from cluster.backend import Backend


@dataclass
class OperatorProcess:
    """`sluicegate run` for one namespace, in which its Lease lies too."""

    backend: Backend
    registry: str
    prometheus: str
    namespace: str
    log: Path
    more: dict[str, str] = field(default_factory=dict)
    """Settings beside those that all tests on a node have."""
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it leads once the lease of the one before has run out or was given back."""
        settings = {
            "KUBECONFIG": str(self.backend.kubeconfig),
            "SLUICEGATE_NAMESPACE": self.namespace,
            "SLUICEGATE_WATCH_NAMESPACES": self.namespace,
            "SLUICEGATE_PROMETHEUS_URL": self.prometheus,
            "SLUICEGATE_SCRAPE_INTERVAL_SECONDS": "1",
            "SLUICEGATE_SETTLE_SECONDS": "1",
            "SLUICEGATE_HOUR_SECONDS": "60",
            "SLUICEGATE_PLAIN_HTTP_REGISTRIES": self.registry,
            "SLUICEGATE_METRICS_PORT": str(free_port()),
            "SLUICEGATE_LEASE_DURATION_SECONDS": "10",
            "SLUICEGATE_LEASE_RENEW_SECONDS": "5",
            "SLUICEGATE_LEASE_RETRY_SECONDS": "1",
            "SLUICEGATE_LOG_FORMAT": "Text",
            **self.more,
        }
        program = Path(sys.executable).with_name("sluicegate")
        self._process = start([str(program), "run"], log=self.log, env=settings)

    def stop(self) -> None:
        """End it as Kubernetes does."""
        if self._process is not None:
            stop(self._process)
            self._process = None

    def kill(self) -> None:
        """End it without a word: nothing is finished, the lease isn't given back."""
        assert self._process is not None
        stop(self._process, signal.SIGKILL)
        self._process = None

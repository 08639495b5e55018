"""Interface of a cluster, for both backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.identity import Identity

BACKEND_VARIABLE = "SLUICEGATE_BACKEND"
KIND, LOCAL = "kind", "local"


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the cluster as `status` shows it; `memory` is resident, in MiB.

    `log_command` prints its log, and with `--follow` goes on as the log grows.
    """

    name: str
    is_alive: bool
    memory: int | None = None
    log_command: tuple[str, ...] = ()


class Backend(Protocol):
    """A cluster of one node."""

    @property
    def kind(self) -> str:
        """`kind` or `local`."""
        ...

    @property
    def identity(self) -> Identity:
        """The cluster's name and folders."""
        ...

    @property
    def state(self) -> Path:
        """Folder of files that are deleted with the cluster."""
        ...

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; absent while the cluster doesn't run."""
        ...

    @property
    def kubectl(self) -> Path:
        """A kubectl of the cluster's version."""
        ...

    @property
    def registry_hosts(self) -> Path:
        """Folder on this machine that is containerd's `config_path`: `<host>_<port>_/hosts.toml`."""
        ...

    def up(self) -> bool:
        """Start the cluster until its node is Ready; return False if it was running."""
        ...

    def down(self) -> None:
        """Remove the cluster and all that belongs to it."""
        ...

    def is_ready(self) -> bool:
        """Return whether everything runs and the node is Ready."""
        ...

    def reached_at(self, port: int) -> str:
        """Return `host:port` at which this machine reaches a port of the node."""
        ...

    def components(self) -> list[Component]:
        """Return the parts of the cluster and whether they run."""
        ...

    def load_image(self, archive: Path) -> None:
        """Make the images of an OCI archive known to the node."""
        ...

    def provide_image(self, name: str) -> str:
        """Have an image of `cluster/images` on the node; the reference by which pods name it."""
        ...

    def apply(self, manifest: str) -> None:
        """Apply YAML or JSON by server-side apply."""
        ...

    def run_kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Return the output of kubectl as administrator. Raises ClusterError."""
        ...

    def shell(self) -> int:
        """Run a shell in the node's network with kubectl set up; return its exit code."""
        ...

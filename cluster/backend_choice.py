"""Which of the two ways a cluster runs on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cluster.backend import BACKEND_VARIABLE, KIND, LOCAL
from cluster.commands import succeeds
from cluster.errors import ClusterError
from cluster.identity import Identity, current_identity
from cluster.kind import KindCluster
from cluster.local import LocalNode

if TYPE_CHECKING:
    from cluster.backend import Backend


def choose_backend(kind: str | None = None, identity: Identity | None = None) -> Backend:
    """Return the backend that `kind` or SLUICEGATE_BACKEND names, else the one that fits the machine.

    Raises
    ------
    ClusterError
        The name is neither `kind` nor `local`.
    """
    chosen = kind or os.environ.get(BACKEND_VARIABLE) or fitting_backend()
    identity = identity or current_identity()
    if chosen == KIND:
        return KindCluster(identity)
    if chosen == LOCAL:
        return LocalNode(identity)
    raise ClusterError(f"{BACKEND_VARIABLE} is {chosen!r}: it must be {KIND!r} or {LOCAL!r}")


def fitting_backend() -> str:
    """Return `kind` where a Docker engine answers (a client alone isn't enough), else `local`."""
    return KIND if succeeds("docker", "version", "--format", "{{.Server.Version}}") else LOCAL

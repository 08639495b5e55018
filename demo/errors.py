"""What can end a demonstration before its story is told."""

from __future__ import annotations

from cluster.errors import ClusterError


class DemoError(ClusterError):
    """The demonstration can't go on; the message says what was expected and what was found."""

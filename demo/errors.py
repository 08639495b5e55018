"""Errors that end a demonstration before its story does."""

from __future__ import annotations

from cluster.errors import ClusterError


class DemoError(ClusterError):
    """The demonstration can't go on; the message says what was expected and what was found."""

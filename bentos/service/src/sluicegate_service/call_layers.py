"""The layers of products that call each other: marks of answers, draws of calls, callers, and metrics.

Each reads the operator's variable, and returns the application as it is without it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sluicegate_service.environment import CONSUMERS, NAMESPACE, PRODUCT, REVISION, VERSION
from sluicegate_service.previews import Previews, has_preview
from sluicegate_service.upstream_outcomes import UpstreamMetrics, upstream_outcomes
from sluicegate_service.upstreams import CountedCalls
from sluicegate_service.version_marks import UpstreamVersion, VersionMarks, products_in

if TYPE_CHECKING:
    from sluicegate_service.paths import Application


def with_marks(application: Application) -> Application:
    """Return the application with marks of its version, if the operator names consumers."""
    consumers = products_in(os.environ, CONSUMERS)
    if not consumers or not os.environ.get(REVISION):
        return application
    return VersionMarks(application, _own_version(), consumers)


def with_previews(application: Application, paths: frozenset[str]) -> Application:
    """Return the application with previews, if the product has them."""
    if not has_preview(os.environ):
        return application
    return Previews(application, paths, _own_version())


def _own_version() -> UpstreamVersion:
    product = f"{os.environ.get(NAMESPACE, 'local')}/{os.environ.get(PRODUCT, 'local')}"
    version, revision = os.environ.get(VERSION, "local"), os.environ.get(REVISION, "local")
    return UpstreamVersion(product, version, revision)


def with_callers(application: Application, paths: frozenset[str]) -> Application:
    """Return the application with counts of its answers by caller, if the operator names consumers."""
    consumers = products_in(os.environ, CONSUMERS)
    if not consumers:
        return application
    # Its counter reads the environment at import.
    from sluicegate_service.callers import CallerCounts  # noqa: PLC0415

    return CallerCounts(application, consumers, counted=paths)


def with_calls(application: Application, paths: frozenset[str]) -> Application:
    """Return the application with a draw for its calls, if the operator names upstreams."""
    outcomes = upstream_outcomes()
    return CountedCalls(application, paths, outcomes) if outcomes.upstreams else application


def with_metrics(application: Application, path: str) -> Application:
    """Return the application with outcomes by versions of upstreams on its page of metrics."""
    outcomes = upstream_outcomes()
    return UpstreamMetrics(application, path, outcomes) if outcomes.upstreams else application

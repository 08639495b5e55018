"""The same counts as recording rules, for dashboards and alerts of a team's own.

The operator doesn't read them: a rule is evaluated when its group's turn comes, not at the
end of a block, so a recorded count is of another five minutes than a decision's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import (
    Needs,
    render_events,
    render_labelled,
    render_latency,
    render_requests,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LEVEL: Final = "dataproduct"
GROUP: Final = "sluicegate-counts"
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def format_duration(seconds: int) -> str:
    """A duration as Prometheus writes it, in the largest unit that divides it: 300 is "5m"."""
    unit, length = next(each for each in _UNITS if seconds % each[1] == 0)
    return f"{seconds // length}{unit}"


def record_name(metric: str, window_seconds: int) -> str:
    """`level:metric:operation`, for instance `dataproduct:requests:increase5m`."""
    return f"{LEVEL}:{metric}:increase{format_duration(window_seconds)}"


def render_rules(
    needs: Needs, *, window_seconds: int = 300, scope: Scope | None = None
) -> dict[str, Any]:
    """The content of a rule file: one group, evaluated once a block."""
    rules = [
        {"record": record, "expr": text}
        for record, text in _rules(scope or Scope(), window_seconds, needs)
    ]
    interval = format_duration(window_seconds)
    return {"groups": [{"name": f"{GROUP}-{interval}", "interval": interval, "rules": rules}]}


def build_prometheus_rule(
    name: str, namespace: str, *, labels: Mapping[str, str], spec: Mapping[str, Any]
) -> dict[str, Any]:
    """The rules as an object of the Prometheus Operator; `labels` are what its selector wants."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": dict(spec),
    }


def _rules(scope: Scope, window: int, needs: Needs) -> Iterator[tuple[str, str]]:
    requests = record_name("requests", window)
    yield requests, render_requests(scope, window)
    bad = render_requests(scope, window, codes="5..")
    # No error series is no error; no request series stays absent.
    yield record_name("requests_bad", window), f"{bad}\nor\n0 * {requests}"
    if needs.thresholds:
        yield record_name("latency_bucket", window), render_latency(scope, window, needs.thresholds)
    if needs.labelled:
        yield record_name("labelled", window), render_labelled(scope, window)
    if needs.events:
        yield record_name("indicator_events", window), render_events(scope, window)

"""What a person needs who wants to know why the story didn't go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.errors import ClusterError
from demo.samples import SAMPLES, Sample
from demo.setup import operator_says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.backend import Backend

CONDITIONS = (
    'jsonpath={range .status.conditions[*]}  {.type}={.status} {.reason}: {.message}{"\\n"}{end}'
)
EVENTS = "custom-columns=AT:.eventTime,REASON:.reason,ABOUT:.regarding.name,NOTE:.note"
MAX_EVENTS = 12


def evidence(backend: Backend) -> Iterator[str]:
    """Yield conditions, pods and events of both products, and the end of the operator's log."""
    for sample in SAMPLES:
        yield f"conditions of {sample.namespace}/{sample.name}:"
        yield _ask(backend, sample, "get", "dprod", sample.name, "-o", CONDITIONS)
        yield f"pods and jobs in {sample.namespace}:"
        yield _ask(backend, sample, "get", "pods,jobs")
        yield f"last events in {sample.namespace}:"
        yield _last_events(backend, sample)
    yield operator_says(backend)


def _last_events(backend: Backend, sample: Sample) -> str:
    order = ("--sort-by=.metadata.creationTimestamp", "-o", EVENTS)
    lines = _ask(backend, sample, "get", "events.events.k8s.io", *order).splitlines()
    return "\n".join(f"  {line[:300]}" for line in (*lines[:1], *lines[1:][-MAX_EVENTS:]))


def _ask(backend: Backend, sample: Sample, *question: str) -> str:
    try:
        return backend.run_kubectl(*question, "--namespace", sample.namespace).rstrip()
    except ClusterError as error:
        return f"  {error}"

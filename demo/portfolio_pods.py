"""What the pods of the portfolio would expose: one page of metrics a pod, by the names of the real ones.

The pods of `make portfolio` hold no containers, as 47 models need more than a laptop has. Their pages
grow as those of BentoML and of the library for services do: requests, response times, outcomes, and
outcomes by market, with the share of wrong predictions that the market gives the product.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from sluicegate_service import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from demo.portfolio import Member

GOOD, SHIFTED = 0.06, 0.75
"""Share of wrong predictions in a market as the models know it, and in one that has shifted."""
FAILED, SLOW = 0.0002, 0.002
KNOWN: Final = 0.5
"""Share of predictions whose truth comes to be known."""
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FAST_BOUND: Final = 0.05
"""Bound below which all requests are that aren't slow."""
PRODUCT_LABEL, VERSION_LABEL, REVISION_LABEL = (
    f"sluicegate.dev/{name}" for name in ("product", "version", "revision")
)

Line = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class Pod:
    """A pod that serves, and what it has counted since it was ready."""

    name: str
    member: Member
    labels: Mapping[str, str]
    since: float
    share: float = 1.0
    counts: dict[Line, float] = field(default_factory=dict)

    def grow(self, shifted: set[str], now: float) -> None:
        """Count what was answered since the page was read last."""
        seconds, self.since = now - self.since, now
        for line, rate in _rates(self, shifted):
            self.counts[line] = self.counts.get(line, 0.0) + rate * seconds


class Pods:
    """All pods, behind one port; `/<namespace>/<pod>` is the page of one."""

    def __init__(
        self, members: Iterable[Member], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._members = {(one.namespace, one.name): one for one in members}
        self._pods: dict[tuple[str, str], Pod] = {}
        self._shifted: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def update(self, deployments: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take in the pods that there are; return the targets that Prometheus scrapes."""
        ready: dict[tuple[str, str], dict[str, Any]] = {}
        for body in deployments:
            meta = body["metadata"]
            owner = (meta["namespace"], meta.get("labels", {}).get(PRODUCT_LABEL, ""))
            if owner in self._members and _is_ready(body):
                ready[meta["namespace"], meta["name"]] = meta["labels"]
        with self._lock:
            for key in self._pods.keys() - ready.keys():
                del self._pods[key]
            for key, labels in ready.items():
                member = self._members[key[0], labels[PRODUCT_LABEL]]
                self._pods.setdefault(key, Pod(key[1], member, labels, self._clock()))
            pods = list(self._pods.values())
        for pod in pods:
            pod.share = 1 / sum(other.member is pod.member for other in pods)
        return [_target(one) for one in pods]

    def shift(self, product: str, *markets: str) -> None:
        """Let the model of a product be wrong more often in these markets, and in no others."""
        self._shifted[product] = set(markets)

    def page(self, namespace: str, name: str) -> str | None:
        """Return the metrics of a pod as Prometheus reads them; None of one that isn't there."""
        with self._lock:
            pod = self._pods.get((namespace, name))
            if pod is None:
                return None
            pod.grow(self._shifted.get(pod.member.name, set()), self._clock())
            return "".join(_text(line, value) for line, value in pod.counts.items())

    def serve(self, port: int) -> ThreadingHTTPServer:
        """Answer Prometheus from now on, in threads of its own."""
        pods = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                _, namespace, name = (*self.path.split("/"), "", "")[:3]
                page = pods.page(namespace, name)
                body = (page or "").encode()
                self.send_response(200 if page is not None else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            @override
            def log_message(self, *_: object) -> None:
                """Say nothing of each scrape."""

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


def _is_ready(body: dict[str, Any]) -> bool:
    conditions = body.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _target(pod: Pod) -> dict[str, Any]:
    """Return a target with the labels that relabelling gives a real pod."""
    return {
        "targets": ["PAGES"],
        "labels": {
            "__metrics_path__": f"/{pod.member.namespace}/{pod.name}",
            "namespace": pod.member.namespace, "pod": pod.name, "instance": pod.name,
            "product": pod.member.name,
            "version": pod.labels.get(VERSION_LABEL, ""),
            "revision": pod.labels.get(REVISION_LABEL, ""),
        },
    }  # fmt: skip


def _rates(pod: Pod, shifted: set[str]) -> Iterator[tuple[Line, float]]:
    """Yield each counter with its growth a second; gauges and facts of the container begin at 0 too."""
    rate = pod.member.rate * pod.share
    served = (("endpoint", "/predict"), ("runner_name", pod.member.service))
    for code, share in (("200", 1 - FAILED), ("500", FAILED)):
        yield (
            ("bentoml_service_request_total", (*served, ("http_response_code", code))),
            rate * share,
        )
    histogram = "bentoml_service_request_duration_seconds"
    answered = (*served, ("http_response_code", "200"))
    for bound in BOUNDS:
        share = 0.0 if bound < FAST_BOUND else 1 - SLOW
        yield (f"{histogram}_bucket", (*answered, ("le", str(bound)))), rate * share
    yield (f"{histogram}_bucket", (*answered, ("le", "+Inf"))), rate
    yield (f"{histogram}_count", answered), rate
    yield (f"{histogram}_sum", answered), rate * 0.04
    by = (
        ("prediction_version", pod.labels.get(VERSION_LABEL, "")),
        ("prediction_revision", pod.labels.get(REVISION_LABEL, "")),
    )
    markets = pod.member.markets
    labelled_rate = rate * KNOWN / len(markets)
    wrong = {one: SHIFTED if one in shifted else GOOD for one in markets}
    for outcome, count in (("correct", sum(1 - one for one in wrong.values())),
                           ("wrong", sum(wrong.values()))):  # fmt: skip
        yield (environment.LABELLED_METRIC, (("outcome", outcome), *by)), labelled_rate * count
    for market, share in wrong.items():
        for outcome, count in (("good", 1 - share), ("bad", share)):
            labels = (("indicator", "outcomes"), ("outcome", outcome), ("market", market), *by)
            yield (environment.MARKETS_METRIC, labels), labelled_rate * count
    container = (("container", "server"),)
    yield ("container_cpu_cfs_periods_total", container), 10.0
    yield ("container_cpu_cfs_throttled_periods_total", container), 0.0


def _text(line: Line, value: float) -> str:
    name, labels = line
    inside = ",".join(f'{label}="{text}"' for label, text in labels)
    return f"{name}{{{inside}}} {int(value)}\n"

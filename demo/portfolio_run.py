"""`make portfolio`: 47 products on a real API server, with a market shift to watch.

API server, controllers, Prometheus and operator are real, and so is every status. What isn't there
is what 47 models would need: the pods hold no containers (kwok makes them ready), and their metrics
come from `demo.portfolio_pods`. No retraining is begun by itself, as there is nothing to train.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from cluster.builds import program
from cluster.controlplane import ControlPlane, Options
from cluster.errors import ClusterError
from cluster.kinds import install_crds
from cluster.ports import free_ports
from cluster.processes import MARK, Command, Processes
from demo.portfolio import MARKETS, PREFIX, TEAMS, affected_by, documents, members
from demo.portfolio_pods import Pods
from demo.terminal import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from demo.samples import Object

BLOCK_SECONDS: Final = 20
SCRAPE_SECONDS: Final = 5
START_SECONDS: Final = 600.0
LEVEL_SECONDS: Final = 180.0
"""Most from a shift that reaches some products until it reaches those that call them."""
SHIFT: Final = ("AT", "IT")
NAMESPACE: Final = "sluicegate"
SETTINGS: Final = {
    "SLUICEGATE_NAMESPACE": NAMESPACE,
    "SLUICEGATE_SCRAPE_INTERVAL_SECONDS": str(SCRAPE_SECONDS),
    "SLUICEGATE_SETTLE_SECONDS": "1",
    "SLUICEGATE_HOUR_SECONDS": "60",
    "SLUICEGATE_PRODUCT_METRICS": "100",
    "SLUICEGATE_LOG_FORMAT": "Text",
}


@dataclass(slots=True)
class Portfolio:
    """The running portfolio."""

    plane: ControlPlane
    pods: Pods
    targets: Path
    pages: str
    began: float

    def products(self) -> list[Object]:
        """Return all products as the API server has them; the pods' pages follow the pods."""
        listed = json.loads(self.plane.kubectl("get", "pods", "-A", "-o", "json"))["items"]
        updated = self.pods.update(listed)
        text = json.dumps(updated).replace('"PAGES"', json.dumps(self.pages))
        fresh = self.targets.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.targets)
        text = self.plane.kubectl("get", "dataproducts", "-A", "-o", "json")
        products: list[Object] = json.loads(text)["items"]
        return products

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        print(f"{clock(time.monotonic() - self.began)}  {text}", flush=True)

    def watch(self, until: Callable[[list[Object]], bool], seconds: float) -> bool:
        """Print each change of a state until a condition holds, or for this many seconds."""
        deadline = time.monotonic() + seconds
        states: dict[str, str] = {}
        while True:
            products = self.products()
            for product in products:
                name, state = _name(product), _state(product)
                if states.get(name) not in {None, state}:
                    self.say(f"{name}: {states[name]} → {state}{_why(product)}")
                states[name] = state
            if until(products):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(2)


def main() -> int:
    """Run until Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as stack:
            return _run(_started(stack))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: nothing is left behind", file=sys.stderr)
        return 130


def _started(stack: ExitStack) -> Portfolio:
    began = time.monotonic()
    print("starting an API server, Prometheus and the operator …", flush=True)
    plane = stack.enter_context(ControlPlane(Options(fake_nodes=4)))
    install_crds(plane)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluicegate-portfolio-")))
    pages, prometheus, metrics = stack.enter_context(free_ports(3))
    pods = Pods(members())
    stack.callback(pods.serve(pages).shutdown)
    for name in (NAMESPACE, *(f"{PREFIX}-{team.name}" for team in TEAMS)):
        plane.kubectl("create", "namespace", name)
    targets = folder / "targets.json"
    targets.write_text("[]")
    processes = Processes(folder, ("setpriv", "--pdeathsig", "KILL", "--"))
    stack.callback(processes.stop_all, grace=5.0)
    processes.start(_prometheus(folder, targets, prometheus))
    processes.start(
        Command(
            "operator",
            # The mark of our processes is no setting, which the operator would refuse.
            ("env", "-u", MARK, str(Path(sys.executable).with_name("sluicegate")), "run"),
            {
                **SETTINGS,
                "KUBECONFIG": str(plane.kubeconfig),
                "SLUICEGATE_PROMETHEUS_URL": f"http://127.0.0.1:{prometheus}",
                "SLUICEGATE_METRICS_PORT": str(metrics),
            },
        )
    )
    listed = {"apiVersion": "v1", "kind": "List", "items": [fitted(one) for one in documents()]}
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))
    return Portfolio(plane, pods, targets, f"127.0.0.1:{pages}", began)


def fitted(document: Object) -> Object:
    """Return a product for a cluster without gateway, containers and trainings, in blocks to watch."""
    spec = document["spec"]
    spec.pop("route")
    spec["analysis"] = {"blockSeconds": BLOCK_SECONDS}
    spec["retraining"] |= {"mode": "Manual"}
    return document


def _prometheus(folder: Path, targets: Path, port: int) -> Command:
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": "4s"},
        "scrape_configs": [
            {
                "job_name": "pods",
                "honor_labels": True,
                "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "5s"}],
            }
        ],
    }
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return Command(
        "prometheus",
        (
            str(program("prometheus")), f"--config.file={path}",
            f"--storage.tsdb.path={folder / 'data'}", "--storage.tsdb.retention.time=16d",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ),
    )  # fmt: skip


def _run(portfolio: Portfolio) -> int:
    kubeconfig = portfolio.plane.kubeconfig
    portfolio.say("47 products are applied; in another terminal:")
    print(f"\n  export KUBECONFIG={kubeconfig}\n  kubectl sluicegate get -A", flush=True)
    print("  kubectl sluicegate get -A --needs-action\n  kubectl sluicegate graph -A\n", flush=True)
    whole = portfolio.watch(_all_healthy, START_SECONDS)
    counts = Counter(map(_state, portfolio.products()))
    portfolio.say(f"after the start: {_told(counts)}")
    if not whole:
        return 1
    for market in SHIFT:
        called = len(affected_by("price"))
        portfolio.say(f"{market}: cars sell for other prices; price is wrong, and {called} call it")
        _travel(portfolio, market)
    portfolio.say("the shift has travelled; Ctrl-C ends it all")
    portfolio.watch(lambda _: False, float("inf"))
    return 0


def _travel(portfolio: Portfolio, market: str) -> None:
    """Let a market shift under `price`, then under those that call it, level by level."""
    reached, level = {"price"}, {"price"}
    shifted = SHIFT[: SHIFT.index(market) + 1]
    while level:
        for name in level:
            portfolio.pods.shift(name, *shifted)
        portfolio.say(f"the shift of {', '.join(shifted)} reaches {', '.join(sorted(level))}")
        portfolio.watch(_all_degraded(level), LEVEL_SECONDS)
        level = {one.name for one in members() if set(one.calls) & level} - reached
        reached |= level
    for text in _markets(portfolio.products()):
        portfolio.say(text)


def _markets(products: list[Object]) -> list[str]:
    """Return how many products miss their accuracy in each market, as their status has it."""
    missed: Counter[str] = Counter()
    for product in products:
        for slo in product.get("status", {}).get("slos") or ():
            missed.update(m["market"] for m in slo.get("markets") or () if m["state"] == "Missed")
    return [f"{market}: {missed[market]} products miss an objective there" for market in MARKETS]


def _all_healthy(products: list[Object]) -> bool:
    return all(_state(one) == "Healthy" for one in products)


def _all_degraded(names: set[str]) -> Callable[[list[Object]], bool]:
    def holds(products: list[Object]) -> bool:
        members = [one for one in products if one["metadata"]["name"] in names]
        return all(_state(one) == "Degraded" for one in members)

    return holds


def _name(product: Object) -> str:
    return f"{product['metadata']['namespace']}/{product['metadata']['name']}"


def _state(product: Object) -> str:
    return str(product.get("status", {}).get("state") or "Unknown")


def _why(product: Object) -> str:
    diagnosis = product.get("status", {}).get("diagnosis") or {}
    return f" ({diagnosis['cause']})" if diagnosis and _state(product) == "Degraded" else ""


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

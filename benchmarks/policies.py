"""Latency of an update with all admission policies of the chart: `python -m benchmarks.policies`.

Two products that differ in their namespace alone: the chart's policies, all on Deny, match one of
them. A user with the role of a platform engineer changes both in turns, over one connection each and
in an order that alternates, so that a busy machine slows both. The exit code is 1 if the median of
the differences is above the bar.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from kubernetes.config import new_client_from_config

from benchmarks.machine import describe_machine
from cluster.apiclient import wait_until
from cluster.builds import program
from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds
from sluicegate.api import names

if TYPE_CHECKING:
    from collections.abc import Sequence

BAR_MILLISECONDS: Final = 2.0
CHART: Final = Path(__file__).resolve().parents[1] / "charts" / "sluicegate"
EXAMPLE: Final = CHART.parents[1] / "tests" / "data" / "products" / "search-ranking.yaml"
WITH, WITHOUT = "with-policies", "without-policies"
USER: Final = "engineer"
OK, FORBIDDEN, UNPROCESSABLE = 200, 403, 422
ANSWER_SECONDS: Final = 30
IN_FORCE_SECONDS: Final = 60.0
VALUES: Final = (
    "roles.enforce=Deny",
    "tenants.enforce=Deny",
    "tenants.allowed.hostnames={*}",
    "tenants.allowed.gateways={*}",
    "tenants.allowed.podAnnotations={*}",
    "tenants.allowed.priorityClasses={*}",
    "tenants.allowed.runtimeClasses={*}",
    f"watchNamespaces={{{WITH}}}",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if the bar doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000, help="pairs of updates")
    parser.add_argument("--warm-up", type=int, default=100, help="pairs that don't count")
    options = parser.parse_args(arguments)
    with ControlPlane(Options(controller_manager=False, scheduler=False)) as plane:
        prepare(plane)
        pairs = measured(plane, options.warm_up, options.pairs)
    return report(pairs)


def prepare(plane: ControlPlane) -> None:
    """Install CRDs, policies and a product in each namespace, and wait for the policies."""
    install_crds(plane)
    for name in (WITH, WITHOUT, "sluicegate-system"):
        plane.kubectl("create", "namespace", name)
    kinds = ("ClusterRole", "ValidatingAdmissionPolicy")
    objects = [one for one in rendered() if one["kind"].startswith(kinds)]
    role = next(one for one in objects if one["metadata"]["name"].endswith("-platform-engineer"))
    for name in (WITH, WITHOUT):
        product = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
        product["metadata"] = {"name": product["metadata"]["name"], "namespace": name}
        product.pop("status", None)
        objects += [product, binding(name, role["metadata"]["name"])]
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))
    outsider = Client(plane, WITH, "outsider")
    wait_until(
        outsider.is_refused,
        seconds=IN_FORCE_SECONDS,
        failed=lambda: None,
        problem="the policies are not in force",
    )


def rendered() -> list[dict[str, Any]]:
    """Return the rendered objects of the chart."""
    values = [part for value in VALUES for part in ("--set", value)]
    done = subprocess.run(
        [str(program("helm")), "template", "sluicegate", str(CHART), "-n", "sluicegate-system", *values],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def binding(namespace: str, role: str) -> dict[str, Any]:
    """Bind the user to a ClusterRole in a namespace; and an outsider, whom the policies refuse."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "people", "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": name} for name in (USER, "outsider")],
    }  # fmt: skip


class Client:
    """Updates of one product by a user, over one connection."""

    def __init__(self, plane: ControlPlane, namespace: str, user: str) -> None:
        client = new_client_from_config(  # type: ignore[no-untyped-call]
            str(plane.kubeconfig_for(user))
        )
        path = f"apis/{names.API_VERSION}/namespaces/{namespace}/{names.PLURAL}/search-ranking"
        self._url = f"{client.configuration.host}/{path}"
        self._pool = client.rest_client.pool_manager

    def send(self, change: dict[str, Any], query: str = "") -> tuple[int, bytes]:
        """Merge a change into the product; return the code and the body of the answer."""
        answer = self._pool.request(
            "PATCH",
            f"{self._url}{query}",
            body=json.dumps(change),
            headers={"Content-Type": "application/merge-patch+json"},
            timeout=ANSWER_SECONDS,
        )
        return answer.status, answer.data

    def is_refused(self) -> bool:
        """Return whether a promotion by this user is refused, as a dry run."""
        annotations = {names.REQUEST_PROMOTE: "v2/1"}
        code, text = self.send({"metadata": {"annotations": annotations}}, "?dryRun=All")
        return code in {UNPROCESSABLE, FORBIDDEN} and b"ValidatingAdmissionPolicy" in text

    def seconds(self, number: int) -> float:
        """Change the number of replicas; return the time until the answer in seconds."""
        began = time.perf_counter()
        code, text = self.send({"spec": {"serving": {"replicas": 2 + number % 2}}})
        duration = time.perf_counter() - began
        if code != OK:
            raise SystemExit(f"{self._url}: {code} {text.decode()}")
        return duration


def measured(plane: ControlPlane, warm_up: int, pairs: int) -> list[tuple[float, float]]:
    """Return pairs of durations of an update in seconds, with policies and without."""
    clients = [Client(plane, name, USER) for name in (WITH, WITHOUT)]
    durations = []
    for number in range(warm_up + pairs):
        order = (0, 1) if number % 2 else (1, 0)
        seconds = {index: clients[index].seconds(number) for index in order}
        durations.append((seconds[0], seconds[1]))
    return durations[warm_up:]


def report(pairs: Sequence[tuple[float, float]]) -> int:
    """Print medians and tails in milliseconds; return the exit code."""
    columns = {
        "with all policies": [1000 * first for first, _ in pairs],
        "without": [1000 * second for _, second in pairs],
        "difference of a pair": [1000 * (first - second) for first, second in pairs],
    }
    lines = [
        ", ".join(f"{name} {value}" for name, value in describe_machine().items()),
        f"{len(pairs)} pairs of updates, milliseconds: p50, p90, p99",
    ]
    for name, values in columns.items():
        cuts = statistics.quantiles(values, n=100)
        lines.append(f"  {name:22}{cuts[49]:8.2f}{cuts[89]:8.2f}{cuts[98]:8.2f}")
    holds = statistics.median(columns["difference of a pair"]) <= BAR_MILLISECONDS
    lines.append(
        f"the bar of {BAR_MILLISECONDS:g} ms at p50 {'holds' if holds else 'does not hold'}"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

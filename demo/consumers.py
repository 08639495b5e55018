"""A version of pricing that is better by its own accuracy and worse for search-ranking.

It is trained on twice the sales, so it prices sellers' cars better. For callers that send no labels
it rounds prices to 5,000 euro, so that a cache holds them. search-ranking is such a caller, and
orders cars by asking price against estimate.
"""

from __future__ import annotations

import copy
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster import addons
from demo import products
from demo.bentos import train
from demo.errors import DemoError
from demo.samples import PRICING, RANKING
from demo.telling import Stage
from demo.tries import (
    REST_SECONDS,
    VERDICT_SECONDS,
    failed_requests,
    measured,
    stalled,
    telling_of,
    to_apply,
    visitors,
    with_stable_model,
)
from demo.watch import look, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.backend import Backend
    from demo.bentos import Bento
    from demo.samples import Object
    from demo.telling import Scene, Telling
    from demo.terminal import Terminal

SALES_A_DAY = 1400
ROUND_TO = 5000
SETTINGS = {"PRICING_SALES_A_DAY": str(SALES_A_DAY), "PRICING_ROUND_TO": str(ROUND_TO)}
OWN_SLO = "accuracy"
STEPS = [25, 50]
"""Shares of the canary: at 5 % ten searches a second need minutes until they show anything."""
CONSUMER = f"{RANKING.namespace}/{RANKING.name}"
SERVED_SECONDS = 180


@dataclass(slots=True)
class Canary:
    """What pricing's status has of one version: its newest evidence, then how its rollout ended."""

    telling: Telling
    version: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def is_rolled_back(self, _: Scene) -> bool:
        """Return whether the rollout ended with a rollback."""
        status = self.telling.read(PRICING)["status"]
        candidate = status.get("candidate") or {}
        if candidate.get("version") == self.version:
            self.evidence |= {row["slo"]: row for row in candidate.get("evidence") or ()}
        return self.end(status).get("outcome") == "RolledBack"

    def end(self, status: Object) -> Object:
        """Return the version's entry in the history; empty while its rollout runs."""
        history = status.get("history") or ()
        return next((row for row in history if row["version"] == self.version), {})

    def why(self) -> str:
        """Return the verdict that ended the rollout."""
        verdict = self.end(self.telling.read(PRICING)["status"]).get("verdict") or {}
        return str(verdict.get("message", ""))


def release_worse_for_consumer(backend: Backend, terminal: Terminal) -> int:
    """Release a pricing that is better by itself and worse for search-ranking; see it rolled back."""
    telling = telling_of(backend, terminal)
    version = f"rounded-{time.time():.0f}"
    terminal.say(
        f"pricing serves {look(telling.read(PRICING)).stable}. {version} is trained on {SALES_A_DAY:,} sales a day"
        " instead of 700, and rounds prices\nfor callers that send no labels to"
        f" {ROUND_TO:,} euro, so that a cache holds them. Nothing that pricing measures shows"
        "\nthe rounding. search-ranking is such a caller, and its outcomes by pricing's version are"
        " evidence in the canary.\n"
    )
    terminal.live(f"  … training {version}")
    with visitors(telling):
        model = trained(telling, version)
        telling.until(measured())
        pricing, ranking = (telling.read(sample) for sample in (PRICING, RANKING))
        with evidence_agreed(telling, pricing, ranking):
            canary = Canary(telling, version)
            repository = pricing["spec"]["retraining"]["output"]
            changed = products.fitted(
                to_apply(with_consumer(pricing)), model, repository=repository
            )
            products.apply_product(backend, changed)
            telling.note(
                "pricing",
                f"kubectl apply: spec.model is {version} now, {on_hold_out(model.bento)}",
            )
            telling.until(
                Stage(
                    name="rolled back",
                    expects=f"{version} to be rolled back for search-ranking",
                    seconds=VERDICT_SECONDS,
                    reached=canary.is_rolled_back,
                    spoiled=lambda scene: (
                        f"{version} was promoted" if scene.states[PRICING].stable == version else ""
                    ),
                )
            )
            why = canary.why()
        scene = telling.until(
            Stage(
                name="as found",
                expects="pricing to rest with nothing stalled, and both products as they were",
                seconds=REST_SECONDS,
                reached=lambda scene: (
                    scene.states[PRICING].rests
                    and not stalled(telling)
                    and all(is_served(telling.read(sample)) for sample in (PRICING, RANKING))
                ),
            )
        )
        failed = failed_requests(scene)
    terminal.say(f"\n{why}")
    for line in evidence_lines(canary.evidence):
        terminal.say(f"  {line}")
    terminal.say(
        f"{version} was rolled back; {scene.states[PRICING].stable} serves all traffic; {failed}"
        " requests failed. `make demo-history` shows it."
    )
    if f"worse in {RANKING.name} / " not in why:
        raise DemoError(f"expected a rollback that names an SLO of {CONSUMER}, but it says: {why}")
    return 1 if failed else 0


def trained(telling: Telling, version: str) -> products.Model:
    """Train the version on the market as it is, and push it."""
    assert telling.senders is not None
    spec = telling.read(PRICING)["spec"]
    where = addons.addresses(telling.backend)
    market = telling.senders.market
    with tempfile.TemporaryDirectory(prefix="sluicegate-demo-") as scratch:
        bento = train(PRICING, version, market, Path(scratch) / "bento", settings=SETTINGS)
        image = bento.push(where.local_name(spec["retraining"]["output"]))
    return products.Model(image, bento, spec["serving"]["runtimeImage"])


def on_hold_out(bento: Bento) -> str:
    """Return the result of the version's training on the hold-out."""
    counts = bento.evaluation[OWN_SLO]
    accuracy = percent(1 - counts["bad"] / counts["total"])
    return f"{accuracy} right on the hold-out of {counts['total']:,} sales"


def with_consumer(pricing: Object) -> Object:
    """Return the product with search-ranking as a consumer that counts in its canaries, of fewer steps."""
    product = copy.deepcopy(pricing)
    spec = product["spec"]
    consumers = {"names": [CONSUMER], "parentRefs": spec["route"]["parentRefs"]}
    spec["rollout"] |= {"steps": STEPS, "consumers": consumers}
    return product


def with_evidence(ranking: Object) -> Object:
    """Return the product with its SLOs as evidence in canaries of pricing."""
    product = copy.deepcopy(ranking)
    for upstream in product["spec"]["dependsOn"]:
        if upstream["name"] == PRICING.name:
            upstream["evidence"] = "Required"
    return product


@contextmanager
def evidence_agreed(telling: Telling, pricing: Object, ranking: Object) -> Iterator[None]:
    """Let both products name each other; however the block ends, both are as they were read."""
    serving = with_stable_model(pricing)
    try:
        for product in (with_consumer(serving), with_evidence(to_apply(ranking))):
            products.apply_product(telling.backend, product)
        telling.note("pricing", f"kubectl apply: rollout.consumers names {CONSUMER}")
        telling.note("search-ranking", "kubectl apply: dependsOn of pricing has evidence: Required")
        telling.until(
            Stage(
                name="agreed",
                expects="pods of both products that count by pricing's version",
                seconds=SERVED_SECONDS,
                reached=lambda _: all(
                    is_served(telling.read(sample)) for sample in (PRICING, RANKING)
                ),
            )
        )
        yield
    finally:
        for product in (serving, to_apply(ranking)):
            products.apply_product(telling.backend, product)
        telling.note("both", "kubectl apply: both products are as before")


def is_served(product: Object) -> bool:
    """Return whether the pods follow the newest spec, by the fields that kstatus reads."""
    status = product["status"]
    conditions = {row["type"]: row["status"] for row in status.get("conditions") or ()}
    return (
        status.get("observedGeneration") == product["metadata"]["generation"]
        and conditions.get("Ready") == "True"
        and conditions.get("Reconciling") != "True"
    )


def evidence_lines(evidence: dict[str, Any]) -> Iterator[str]:
    """Yield the evidence of each SLO: the share of good events of both versions."""
    for name, row in evidence.items():
        shares = [
            f"{percent(1 - row[f'{arm}Bad'] / row[f'{arm}Total'])} (n={row[f'{arm}Total']:,})"
            if row[f"{arm}Total"]
            else "–"
            for arm in ("candidate", "stable")
        ]
        yield f"{name}: {shares[0]}, stable {shares[1]}"

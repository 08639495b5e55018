"""A record of a real Prometheus, replayed, decides what the operator decided on the same server.

Two versions leave eighty minutes of samples: the second one is worse, then scrapes are lost, then
the first one breaks. The operator's own reading and its own rules decide block by block.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sluicegate.api.outcome import Outcome
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import Release, Version, VersionSource
from sluicegate.cli.trials.past_record import record
from sluicegate.kube.resources import Key
from sluicegate.measurement.product_view import ProductBlocks
from sluicegate.measurement.store import Measurements, target_of
from sluicegate.policy.evaluate import evaluate
from sluicegate.policy.model.inputs import Surroundings, observed
from sluicegate.policy.model.observed import NO_OTHER_PRODUCTS, Facts
from sluicegate.policy.model.terms import terms_of
from sluicegate.policy.rollout.decision_status import carry_out_at_once
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.past_blocks import PastReader
from sluicegate.prometheus.timing import Timing
from sluicegate.simulation.replay import ReplayStep, replay
from sluicegate.simulation.replay_output import as_object
from sluicegate.simulation.replay_scenario import parse_scenario
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY, product
from tests.support.prometheus.server import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

BLOCK, SCRAPE, BLOCKS = 60, 15, 80
TIMING = Timing(scrape_seconds=SCRAPE, settle_seconds=SCRAPE)
BEGIN = (int(time.time()) // 3600 - 3) * 3600
"""Of the history: an hour's begin, so that the operator's hours are whole."""
FIRST, SECOND = Release("v1", "r.example/m@sha256:" + "a" * 64), Release("v2", "r.example/m@sha256:" + "b" * 64)  # fmt: skip
LOST = range(52, 56)
"""Blocks without a scrape."""


def per_scrape(version: str, block: int) -> tuple[int, int, int, int]:
    """Return answered, failed, correct and wrong of one scrape interval in a block."""
    if version == "v2":
        return (90, 60, 30, 20) if 20 < block <= 40 else (0, 0, 0, 0)
    if block > 60:
        return 280, 120, 95, 5
    return 400, 0, 95, 5


def samples() -> Iterator[str]:
    """Yield the scraped samples, as OpenMetrics."""
    families = {
        "bentoml_service_request": [
            ('http_response_code="200"', 0),
            ('http_response_code="500"', 1),
        ],
        "sluicegate_predictions_labelled": [('outcome="correct"', 2), ('outcome="wrong"', 3)],
    }
    pods = [(one, f"{one.version}-pod") for one in (FIRST, SECOND)]
    yield "# TYPE up gauge"
    for release, pod in pods:
        for at, _ in scrapes(release):
            yield f"up{{{labels(release, pod)}}} 1 {at}"
    for family, parts in families.items():
        yield f"# TYPE {family} counter"
        for release, pod in pods:
            more = f'endpoint="/predict",runner_name="{release.service}"'
            if family != "bentoml_service_request":
                more = f'prediction_version="{release.version}",prediction_revision="{release.revision}"'
            for part, place in parts:
                total = 0
                for at, block in scrapes(release):
                    total += per_scrape(release.version, block)[place]
                    yield f"{family}_total{{{labels(release, pod)},{more},{part}}} {total} {at}"
    yield "# EOF"


def scrapes(release: Release) -> Iterator[tuple[int, int]]:
    """Yield when a pod of the version was scraped, and in which block."""
    for number in range(0 if release is FIRST else 20 * BLOCK // SCRAPE, BLOCKS * BLOCK // SCRAPE):
        at = number * SCRAPE + 7
        if at // BLOCK + 1 not in LOST:
            yield BEGIN + at, at // BLOCK + 1


def labels(release: Release, pod: str) -> str:
    return (
        f'namespace="catalog",product="search",version="{release.version}",'
        f'revision="{release.revision}",pod="{pod}",job="products",instance="{pod}:3000"'
    )


@pytest.fixture(scope="module")
def history(
    prometheus_program: Path, promtool: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Yield a Prometheus that has the samples, and scrapes nothing."""
    folder = tmp_path_factory.mktemp("history")
    text, data = folder / "samples.txt", folder / "tsdb"
    text.write_text("".join(f"{line}\n" for line in samples()))
    command = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with prometheus(prometheus_program, folder, {"scrape_configs": []}) as url:
        yield url


BODY = product({**AVAILABILITY, "objective": "0.99"}, ACCURACY, analysis={"blockSeconds": BLOCK})


@dataclass
class Operator:
    """The operator's reading and its rules, without a cluster: what is decided takes effect at once."""

    reader: BlockReader
    product: DataProduct = field(default_factory=lambda: DataProduct.parse(BODY))
    measurements: Measurements = field(default_factory=lambda: Measurements(TIMING))
    desired: Release = FIRST
    steps: list[ReplayStep] = field(default_factory=list)

    def __post_init__(self) -> None:
        stable = Version.of(FIRST, VersionSource.SPEC, promotion_time=BEGIN)
        spec_model = SpecModel.of(FIRST, Outcome.PROMOTED, BEGIN)
        self.become(DataProductStatus(stable=stable, spec_model=spec_model))

    def become(self, status: DataProductStatus) -> None:
        self.product = self.product.model_copy(update={"status": status})

    async def settle(self, index: int) -> None:
        """Complete one block: read, evaluate, act."""
        terms, status, end = terms_of(self.product), self.product.status, index * BLOCK
        self.measurements.set_target(Key("catalog", "search"), target_of(self.product, TIMING))
        await self.measurements.read(self.reader, TIMING.complete_at(index, BLOCK))
        now = int(TIMING.complete_at(index, BLOCK))
        measured = ProductBlocks(self.measurements, self.product).measured(now)
        assert measured.block == index
        evaluation = evaluate(terms, status, observed(measured, self.beside()), now)
        after = carry_out_at_once(terms, evaluation.status, evaluation.decision, now)
        self.become(after)
        self.steps.append(ReplayStep(end, evaluation, after))

    def beside(self) -> Surroundings:
        """Return a healthy cluster."""
        return Surroundings(
            desired=self.desired,
            withheld="",
            desired_evaluation={},
            training=None,
            shadow=None,
            facts=Facts(cpu_throttled=False, memory_pressure=False),
            rollout=None,
            portfolio=NO_OTHER_PRODUCTS,
            requests=(),
            answers=(),
            consumers=(),
            consumer_readings=(),
            absences=(),
            term=0,
        )


async def test_a_replayed_record_makes_the_decisions_of_the_operator(history: str):
    first = BEGIN // BLOCK + 1
    async with Prometheus(Endpoint(url=history)) as prometheus:
        operator = Operator(
            BlockReader(prometheus, EvaluationSettings(timing=TIMING, jitter_seconds=0))
        )
        for index in range(first, first + BLOCKS):
            if index == first + 19:
                operator.desired = SECOND
            await operator.settle(index)
        recording, lines = await record(
            operator.product,
            BODY,
            PastReader(prometheus, TIMING),
            days=1,
            now=TIMING.complete_at(first + BLOCKS - 1, BLOCK),
        )
    replayed = list(replay(parse_scenario(yaml.safe_load("\n".join(lines)))))

    assert [told(step) for step in replayed] == [told(step) for step in operator.steps]
    assert {kind for _, _, kind, *_ in map(told, replayed)} >= {"StartRollout", "Rollback", "Alert"}  # fmt: skip
    assert "Unknown" in {state for _, state, *_ in map(told, replayed)}
    assert recording.notes == [
        "v2 is no longer in status: it comes as a change of spec.model.",
        "States of upstream products, pods and containers, and requests of people aren't in it.",
    ]


def told(step: ReplayStep) -> tuple[Any, ...]:
    """Return the findings and the decisions."""
    seen = as_object(step)
    slos = {name: (one["state"], one["bad"], one["total"]) for name, one in seen["slos"].items()}
    made = seen["decision"]
    return step.at, seen["state"], made["type"], made["reason"], seen["stable"], seen["candidate"], seen["weight"], slos  # fmt: skip

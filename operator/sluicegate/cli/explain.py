"""`sluicegate explain`: what status says of a product, and what its newest blocks say right now.

Status holds the numbers of the last decision; this reads Prometheus again and judges with the
very functions of the operator. It changes nothing.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

from sluicegate.api.base import rfc3339
from sluicegate.api.product import DataProduct
from sluicegate.cli.cluster_access import kube_api
from sluicegate.cli.kubectl.output import add_output, document, write, write_lines
from sluicegate.cli.object_name import parse_name
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.measurement.product_view import ProductBlocks
from sluicegate.measurement.store import Measurements, target_of
from sluicegate.policy.evaluate import Evaluation, evaluate
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import terms_of
from sluicegate.policy.slo_health.messages import describe
from sluicegate.prometheus.block_reader import BlockReader
from sluicegate.prometheus.client import Prometheus
from sluicegate.settings import Settings, parse_settings
from sluicegate.wiring import endpoint_of, evaluation_settings, timing_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("product", help="NAMESPACE/NAME of a DataProduct, or NAME")
    add_output(parser, formats=("table", "json", "yaml"))
    parser.epilog = (
        "Uses the kubeconfig as kubectl does. With SLUICEGATE_PROMETHEUS_URL set, the newest blocks"
        " are read and evaluated too; SLUICEGATE_SCRAPE_INTERVAL_SECONDS and _SETTLE_SECONDS as"
        " the operator has them."
    )


def run(args: argparse.Namespace) -> int:
    """Print the explanation."""
    key = parse_name(args.product, argument="product")
    asyncio.run(_explain(key, parse_settings(os.environ, refuse_unknown=False), args.output))
    return 0


async def _explain(key: Key, settings: Settings, output: str) -> None:
    async with kube_api() as api:
        body = await api.get(DATA_PRODUCTS, key)
    product = DataProduct.parse(body)
    evaluation = await _judge(product, settings) if settings.prometheus_url else None
    if output != "table":
        write(_document(key, body, product, evaluation), output)
        return
    write_lines(status_lines(product))
    write_lines(live_lines(product, evaluation) if evaluation else ())


def _document(
    key: Key, body: dict[str, Any], product: DataProduct, evaluation: Evaluation | None
) -> dict[str, Any]:
    """Status without what only the engine reads, and the newest blocks where they were read."""
    status = {name: part for name, part in body.get("status", {}).items() if name != "engine"}
    now: dict[str, Any] = {}
    if evaluation is not None:
        seconds = product.spec.analysis.block_seconds
        slos = [
            {"state": str(one.state), "message": describe(one, seconds)} for one in evaluation.slos
        ]
        now = {"now": {"state": str(evaluation.state), "slos": slos}}
    return document(
        "ProductExplanation", namespace=key.namespace, name=key.name, status=status, **now
    )


def status_lines(product: DataProduct) -> Iterator[str]:
    """What status says, a line each."""
    status = product.status
    stable = f"stable {status.stable.version}" if status.stable else "no version is stable yet"
    yield f"{product.metadata.namespace}/{product.metadata.name}: {status.state or 'Unknown'}, {stable}"
    if status.candidate is not None:
        one = status.candidate
        yield f"  candidate {one.version}: {one.phase} at {one.weight} %"
        for evidence in one.evidence:
            yield (
                f"    {evidence.slo}: for it {evidence.promote} of {evidence.promote_at}, against it"
                f" {evidence.roll_back} of {evidence.roll_back_at}"
            )
    if status.decision is not None:
        made = status.decision
        yield f"  last decision {made.type} ({made.reason}) at {rfc3339(made.decision_time)}: {made.message}"
    for condition in status.conditions:
        yield f"  {condition.type}={condition.status} {condition.reason} {condition.message}".rstrip()


def live_lines(product: DataProduct, evaluation: Evaluation) -> Iterator[str]:
    """What the newest blocks say, a line each."""
    yield f"now: {evaluation.state}"
    for result in evaluation.slos:
        yield f"  {result.state}: {describe(result, product.spec.analysis.block_seconds)}"


async def _judge(product: DataProduct, settings: Settings) -> Evaluation:
    """Read the product's blocks and judge them; what only the cluster knows is left out."""
    timing = timing_of(settings)
    measurements = Measurements(timing)
    key = Key(*product.metadata.key)
    measurements.want(key, target_of(product, timing))
    now = time.time()
    async with Prometheus(endpoint_of(settings)) as prometheus:
        await measurements.read(BlockReader(prometheus, evaluation_settings(settings, timing)), now)
    measured = ProductBlocks(measurements, product)
    observed = Observed(
        block=measured.newest,
        problem=measured.problem(),
        problems=measured.problems(),
        series=measured.series(),
        gauges=measured.gauges(),
    )
    terms = terms_of(product, settings.hour_seconds)
    return evaluate(terms, product.status, observed, int(now))

"""`sluicegate explain`: what status says of a product, and what its newest blocks say right now.

Status holds the numbers of the last decision; this reads Prometheus again and judges with the
very functions of the operator. It changes nothing.
"""

import argparse
import asyncio
import os
from collections.abc import Iterator

from sluicegate.api.base import rfc3339
from sluicegate.api.product import DataProduct
from sluicegate.cli.cluster_access import kube_api
from sluicegate.cli.explain_live import live_lines
from sluicegate.cli.object_name import parse_key
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.settings import Settings, parse_settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("product", help="NAMESPACE/NAME of a DataProduct")
    parser.epilog = (
        "Uses the kubeconfig as kubectl does. With SLUICEGATE_PROMETHEUS_URL set, the newest blocks"
        " are read and evaluated too; SLUICEGATE_SCRAPE_INTERVAL_SECONDS and _SETTLE_SECONDS as"
        " the operator has them."
    )


def run(args: argparse.Namespace) -> int:
    """Print the explanation."""
    key = parse_key(args.product, argument="product")
    asyncio.run(_explain(key, parse_settings(os.environ, refuse_unknown=False)))
    return 0


async def _explain(key: Key, settings: Settings) -> None:
    async with kube_api() as api:
        body = await api.get(DATA_PRODUCTS, key)
    product = DataProduct.parse(body)
    for line in status_lines(product):
        print(line)
    if settings.prometheus_url:
        for line in await live_lines(product, settings):
            print(line)


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

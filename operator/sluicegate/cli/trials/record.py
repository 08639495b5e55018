"""`sluicegate record`: a product's past, from Prometheus, as a scenario to replay and to tune with."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sluicegate.api.product import DataProduct
from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.inputs.cluster_access import product_of
from sluicegate.cli.inputs.consumer_access import related_among, related_products
from sluicegate.cli.inputs.object_name import parse_name
from sluicegate.cli.inputs.operator_settings import namespace_of_operator, operator_settings
from sluicegate.cli.inputs.product_files import read_documents
from sluicegate.cli.trials.past_record import record
from sluicegate.errors import invalid
from sluicegate.kube.resources import Key
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.past_blocks import PastReader
from sluicegate.settings import Settings, parse_settings
from sluicegate.simulation.recording import Recording
from sluicegate.wiring import GATEWAYS, endpoint_of, timing_of

MAX_DAYS: Final = 90


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Write the past of a product as a scenario for `sluicegate replay` and `sluicegate tune`."
        " The counts come from Prometheus, by the operator's own queries."
    )
    parser.add_argument("product", help="NAMESPACE/NAME of a DataProduct, or NAME")
    parser.add_argument(
        "--days", type=_days, default=14.0, metavar="N", help=f"up to {MAX_DAYS} (default: 14)"
    )
    parser.add_argument(
        "--from-file",
        metavar="FILE",
        help="the DataProduct with its status, as kubectl get -o yaml prints it, instead of the"
        " cluster's; the products that its rollout.consumers and its dependsOn name may follow",
    )
    parser.add_argument(
        "--with",
        dest="policy",
        metavar="FILE",
        help="count by the indicators and the blocks of this DataProduct",
    )
    parser.add_argument("--output", "-o", metavar="FILE", help="default: standard output")
    add_access(parser)
    parser.epilog = (
        "Needs SLUICEGATE_PROMETHEUS_URL. Uses the kubeconfig as kubectl does, and the settings of the"
        " operator's Deployment; with --from-file those of this shell (SLUICEGATE_*)."
    )


def run(args: argparse.Namespace) -> int:
    """Write the scenario, and list missing data on standard error."""
    settings = parse_settings(os.environ, refuse_unknown=False)
    if not settings.prometheus_url:
        problem = "is empty: set it to the URL of the Prometheus that the operator reads"
        raise invalid("SLUICEGATE_PROMETHEUS_URL", problem)
    body, related = _products_of(args)
    if args.from_file is None:
        namespace = namespace_of_operator(DataProduct.parse(body))
        operator = asyncio.run(operator_settings(os.environ, namespace))
        print(f"note: {operator.source}", file=sys.stderr)
        settings = operator.settings
    if args.policy:
        body = {**body, "spec": _read_single(args.policy)["spec"]}
    bodies = (body, *related)
    recording, lines = asyncio.run(_record(bodies, settings, args.days, time.time()))
    text = "".join(f"{line}\n" for line in lines)
    for note in recording.notes:
        print(note, file=sys.stderr)
    if args.output:
        Path(args.output).write_text(text, encoding="utf-8")
        print(f"{args.output}: {len(recording.blocks)} blocks", file=sys.stderr)
    else:
        print(text, end="")
    return 0


def _products_of(args: argparse.Namespace) -> tuple[dict[str, Any], Sequence[Mapping[str, Any]]]:
    """Return the product, its consumers in `rollout.consumers` and its upstreams, as far as they exist."""
    key = parse_name(args.product, argument="product")
    if args.from_file is None:
        return asyncio.run(_with_others(key))
    documents = {
        (body["metadata"].get("namespace"), body["metadata"].get("name")): body
        for body in read_documents(args.from_file)
    }
    if key not in documents:
        held = ", ".join(f"{namespace}/{name}" for namespace, name in documents)
        problem = f"holds {held}, not {args.product}: give the file of this product"
        raise invalid("--from-file", problem)
    product = DataProduct.parse(documents[key])
    return documents[key], related_among(product, documents.values())


async def _with_others(key: Key) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    body = await product_of(key)
    return body, await related_products(DataProduct.parse(body))


def _read_single(file: str) -> dict[str, Any]:
    documents = read_documents(file)
    if len(documents) != 1:
        raise invalid(file, f"holds {len(documents)} DataProducts: give a file with one")
    DataProduct.parse(documents[0])
    return documents[0]


async def _record(
    bodies: Sequence[Mapping[str, Any]], settings: Settings, days: float, now: float
) -> tuple[Recording, Iterator[str]]:
    """Record the first product with the others as its consumers and upstreams."""
    product, timing = DataProduct.parse(bodies[0]), timing_of(settings)
    async with Prometheus(endpoint_of(settings)) as source:
        reader = PastReader(source, timing, GATEWAYS[settings.gateway_metrics])
        return await record(product, bodies[0], reader, days=days, now=now, others=bodies[1:])


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of days: give up to {MAX_DAYS}')
    return days

"""`sluicegate dossier`: the technical file of one product on a date, from its spec and sealed ledgers."""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview
from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.inputs.cluster_access import kube_api
from sluicegate.cli.inputs.object_name import parse_key, parse_name
from sluicegate.cli.printing.output import add_output, as_yaml, write_text
from sluicegate.cli.reviews.report import objects_in, readable
from sluicegate.errors import invalid
from sluicegate.kube.errors import NotFound
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, DATA_PRODUCTS, Key
from sluicegate.reporting.cyclonedx import cyclonedx_document
from sluicegate.reporting.dossier import dossier_of, markdown


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "product", help="NAMESPACE/NAME of a DataProduct, or NAME; it may be deleted already"
    )
    parser.add_argument(
        "--at", help="a date: reviews that were sealed by its end are used; today when left out"
    )
    add_output(parser, formats=("markdown", "json", "yaml", "cyclonedx"))
    parser.add_argument("--file", type=Path, help="file to write; standard output when left out")
    parser.add_argument(
        "--from", dest="files", type=Path, nargs="+", default=[],
        help="files with the product and its reviews (YAML or JSON, lists too), not the cluster",
    )  # fmt: skip
    add_access(parser)
    parser.epilog = (
        "Uses the kubeconfig as kubectl does. It contains records, and no legal assessment."
    )


def run(args: argparse.Namespace) -> int:
    """Write the file."""
    parse = parse_key if args.files else parse_name  # files have no context
    key = parse(args.product, argument="product")
    documents = (
        [one for _, one in objects_in(args.files)] if args.files else asyncio.run(_of_cluster(key))
    )
    product, reviews = split_documents(documents, key)
    if product is None and not reviews:
        text = f"there is neither a DataProduct {key} nor a review of one: check the name"
        raise invalid("product", text)
    file = dossier_of(product, reviews, end_of(args.at))
    write_text(_render(file, args.output), args.file)
    return 0


def _render(file: dict[str, Any], form: str) -> str:
    if form == "markdown":
        return markdown(file)
    if form == "yaml":
        return as_yaml(file)
    return json.dumps(cyclonedx_document(file) if form == "cyclonedx" else file, indent=2) + "\n"


def end_of(day: str | None) -> int:
    """Return the end of a day in UTC, in seconds since 1970; now, without a day."""
    if day is None:
        return int(time.time())
    try:
        following = date.fromisoformat(day) + timedelta(days=1)
    except ValueError:
        raise invalid("at", f'is "{day}": write a date as 2026-12-31') from None
    return int(datetime(following.year, following.month, following.day, tzinfo=UTC).timestamp())


def split_documents(
    documents: Iterable[dict[str, Any]], key: Key
) -> tuple[DataProduct | None, list[DataProductReview]]:
    """Return the product of this name among documents, and its reviews."""
    product, reviews = None, []
    for document in documents:
        if document.get("kind") == names.REVIEW_KIND:
            reviews += [
                review
                for review in readable([document])
                if (review.metadata.namespace, review.spec.product_ref.name) == key
            ]
        elif document.get("kind") == names.KIND:
            candidate = DataProduct.parse(document)
            product = candidate if candidate.metadata.key == key else product
    return product, reviews


async def _of_cluster(key: Key) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = []
    async with kube_api() as api:
        with contextlib.suppress(NotFound):  # its ledgers exist after its deletion
            documents.append({"kind": names.KIND, **await api.get(DATA_PRODUCTS, key)})
        labels = f"{names.LABEL_PRODUCT}={key.name}"
        async for page in api.pages(
            DATA_PRODUCT_REVIEWS, namespace=key.namespace, labels=labels, chunk=50
        ):
            documents += [{"kind": names.REVIEW_KIND, **item} for item in page.items]
    return documents

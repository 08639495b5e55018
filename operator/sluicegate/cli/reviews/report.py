"""`sluicegate report`: one product, or all of them, in a period, from the ledgers."""

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sluicegate.api import names
from sluicegate.api.review import DataProductReview
from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.inputs.cluster_access import kube_api
from sluicegate.cli.inputs.object_name import parse_key, parse_name
from sluicegate.cli.inputs.yaml_files import files_in, read_yaml
from sluicegate.cli.printing import output
from sluicegate.cli.printing.output import add_output, document, write_text
from sluicegate.cli.reviews.report_live import with_missing_days
from sluicegate.cli.reviews.reviewed_products import products_in, suggest_namespace
from sluicegate.errors import MissingExtra, invalid
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS
from sluicegate.reporting.facts import ReportFacts, facts_of
from sluicegate.reporting.text import as_csv, documents, markdown
from sluicegate.reviews.store import UnreadableReview, parse_review, read_review
from sluicegate.settings import parse_settings

FORMATS = ("markdown", "html", "json", "yaml", "csv", "name")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "product", nargs="?", help="NAMESPACE/NAME of a DataProduct; it may be deleted already"
    )
    parser.add_argument("--all", action="store_true", help="all products that you can read")
    parser.add_argument(
        "--wheel", action="store_true",
        help="one product at random for a joint review; the same one all day",
    )  # fmt: skip
    parser.add_argument(
        "--namespace", "-n", dest="namespaces", action="append", default=[], metavar="NAMESPACE",
        help="with --all or --wheel: only of this namespace; may be given several times",
    )  # fmt: skip
    parser.add_argument("--period", help="e.g. 2026-12, 2026-q4, 2026-w49; the newest sealed one")
    parser.add_argument(
        "--live", action="store_true",
        help="include the current period; days that are missing in its ledger, today included, are read"
        " from SLUICEGATE_PROMETHEUS_URL",
    )  # fmt: skip
    add_output(parser, formats=FORMATS)
    parser.add_argument("--file", type=Path, help="file to write; standard output when left out")
    parser.add_argument(
        "--from", dest="files", type=Path, nargs="+", default=[],
        help="files with reviews (YAML or JSON, lists too), instead of the cluster",
    )  # fmt: skip
    add_access(parser, namespace=False)
    parser.epilog = (
        "Uses the kubeconfig as kubectl does. HTML needs the extra `report`. Exit codes: 0 done,"
        " 1 failed, 2 wrong input."
    )


def run(args: argparse.Namespace) -> int:
    """Write the report."""
    product = _product(args)
    if args.live and args.files:
        raise invalid("live", "reads a cluster: leave out --from")
    if args.files:
        among = set(args.namespaces)
        reviews = [
            file
            for file in _read_files(args.files)
            if not among or file.metadata.namespace in among
        ]
    else:
        reviews = asyncio.run(_read_cluster(product, args.namespaces, live=args.live))
    chosen_reviews = choose(
        reviews, product, args.period or "", open_too=args.live, now=int(time.time())
    )
    reports = sorted(chosen_reviews, key=lambda review: (-review.worst, review.name))
    if args.wheel:
        reports = [draw_report(reports, f"{datetime.now(UTC):%Y-%m-%d}")]
    write_text(_render(reports, args.output, args.period or "newest period"), args.file)
    return 0


def _product(args: argparse.Namespace) -> tuple[str, str] | None:
    """Return the product of the arguments; None for all."""
    if (args.all or args.wheel) == bool(args.product):
        text = "give one as NAMESPACE/NAME, before --from, or use --all or --wheel"
        raise invalid("product", text)
    if args.all or args.wheel:
        return None
    if not args.namespaces:
        parse = parse_key if args.files else parse_name  # files have no context
        return parse(args.product, argument="product")
    if "/" in args.product or len(args.namespaces) > 1:
        text = "is for --all, or for a product without its namespace: write NAMESPACE/NAME, or -n NAMESPACE NAME"
        raise invalid("namespace", text)
    return parse_key(f"{args.namespaces[0]}/{args.product}", argument="product")


def choose(
    reviews: Iterable[DataProductReview],
    product: tuple[str, str] | None,
    period: str,
    *,
    open_too: bool = False,
    now: int = 0,
) -> list[ReportFacts]:
    """Return the facts of the selected reviews, each with the reviews before it.

    Raises
    ------
    InvalidInput
        There is none; the message has the existing ones.
    """
    by_product: dict[tuple[str, str, str], list[DataProductReview]] = {}
    for review in reviews:
        ref = review.spec.product_ref
        by_product.setdefault((review.metadata.namespace, ref.name, ref.uid), []).append(review)
    facts: list[ReportFacts] = []
    periods: list[str] = []
    for (namespace, name, _), product_reviews in sorted(by_product.items()):
        if product is not None and product != (namespace, name):
            continue
        ordered = sorted(product_reviews, key=lambda review: review.spec.period.start)
        periods += [period_name(review) for review in ordered]
        place = len(ordered) - 1 if open_too and not period else _place(ordered, period)
        if place is not None:
            before = ordered[place - 1] if place else None
            facts.append(facts_of(ordered[place], before, ordered[: place + 1], now=now))
    if facts:
        return facts
    owner_text = "/".join(product) if product else "any product"
    if not periods:
        text = (
            f"there is no review of {owner_text}: is the name right? A DataProduct with spec.review has one"
            " after a day; those of a deleted product are kept for some time, then in the archive (--from)"
        )
    elif period:
        text = f'there is no period "{period}" of {owner_text}: name one of {", ".join(sorted(set(periods))[-6:])}'
    else:
        text = (
            f"no review of {owner_text} is sealed yet: name an open one by --period {periods[-1]}"
        )
    raise invalid("period", text)


def draw_report(reports: Sequence[ReportFacts], day: str) -> ReportFacts:
    """Return the report that is drawn at random for a day; the same one for repeated calls."""
    return random.Random(day).choice(sorted(reports, key=lambda report: report.name))


def period_name(review: DataProductReview) -> str:
    """Return the period in the review's name, e.g. 2026-12."""
    return review.metadata.name.removeprefix(f"{review.spec.product_ref.name}-")


def _place(ordered: Sequence[DataProductReview], period: str) -> int | None:
    """Return the index of the period's review; without a period that of the newest sealed review."""
    places = [
        place
        for place, review in enumerate(ordered)
        if (period_name(review) == period if period else review.status.seal_time is not None)
    ]
    return places[-1] if places else None


def _render(reports: Sequence[ReportFacts], form: str, period: str) -> str:
    match form:
        case "json" | "yaml":
            answer = document("ProductReports", reports=documents(reports))
            return output.as_json(answer) if form == "json" else output.as_yaml(answer)
        case "name":
            kind = f"{names.REVIEW_SINGULAR}.{names.GROUP}"
            return "".join(f"{kind}/{report.review.metadata.name}\n" for report in reports)
        case "csv":
            return as_csv(reports)
        case "html":
            try:
                from sluicegate.reporting.page import page  # noqa: PLC0415 - an extra
            except ImportError as error:
                raise MissingExtra(
                    f"HTML needs {error.name}: install sluicegate[report], or take -o markdown"
                ) from error
            title = reports[0].name if len(reports) == 1 else f"{len(reports)} products"
            return page(reports, f"Review of {title}, {period}")
        case _:
            return markdown(reports)


def _read_files(files: Iterable[Path]) -> list[DataProductReview]:
    reviews = []
    for path, body in objects_in(files):
        review = parse_review(body) if body.get("kind") == names.REVIEW_KIND else None
        if review is None:
            text = f"has an object that is no {names.REVIEW_KIND}: write it with kubectl get dprev -o yaml"
            raise invalid(str(path), text)
        reviews.append(review)
    return reviews


def objects_in(files: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the objects in files and folders, and in lists. Raises InvalidInput naming what can't be read."""
    for path in (file for given in files for file in files_in(given)):
        for body in read_yaml(str(path)):
            for item in body.get("items", [body]) if isinstance(body, dict) else []:
                yield path, item


def readable(bodies: Iterable[Mapping[str, Any]]) -> Iterator[DataProductReview]:
    """Yield the reviews among objects, with a warning on standard error about unreadable ones."""
    for body in bodies:
        try:
            yield read_review(body)
        except UnreadableReview as error:
            print(f"left out: {error}", file=sys.stderr)


async def _read_cluster(
    product: tuple[str, str] | None, among: Sequence[str], *, live: bool
) -> list[DataProductReview]:
    """Read the reviews of a product, or of all; with --live also the days missing in open ledgers."""
    settings = parse_settings(os.environ, refuse_unknown=False)
    if live and not settings.prometheus_url:
        raise invalid("live", "set SLUICEGATE_PROMETHEUS_URL to where Prometheus answers")
    namespaces = [product[0]] if product else among or [""]
    labels = f"{names.LABEL_PRODUCT}={product[1]}" if product else ""
    reviews: list[DataProductReview] = []
    async with kube_api() as api:
        for namespace in namespaces:
            with suggest_namespace(namespace):
                async for page in api.pages(
                    DATA_PRODUCT_REVIEWS, namespace=namespace, labels=labels, chunk=50
                ):
                    reviews += readable(page.items)
        if not live:
            return reviews
        products = [product for each in namespaces for product in await products_in(api, each)]
    return await with_missing_days(reviews, products, settings, time.time())

"""`sluicegate report`: what one product, or all of them, did in a period, from the ledgers."""

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from sluicegate.api import names
from sluicegate.api.review import DataProductReview
from sluicegate.cli.cluster_access import kube_api
from sluicegate.cli.object_name import parse_key
from sluicegate.errors import InvalidInput, Problem, SluicegateError
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS
from sluicegate.reporting.facts import ReportFacts, facts_of
from sluicegate.reporting.text import as_csv, as_json, markdown
from sluicegate.reviews.store import parse_review

FORMATS = ("html", "markdown", "json", "csv")


class NoReportExtra(SluicegateError):  # noqa: N818 - says what is the case
    """The extra that is needed isn't installed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "product", nargs="?", help="NAMESPACE/NAME of a DataProduct; it may be deleted already"
    )
    parser.add_argument("--all", action="store_true", help="all products that you can read")
    parser.add_argument("--period", help="e.g. 2026-12, 2026-q4, 2026-w49; the newest sealed one")
    parser.add_argument("--format", choices=FORMATS, default="markdown")
    parser.add_argument("--output", type=Path, help="file to write; standard output when left out")
    parser.add_argument(
        "--from", dest="files", type=Path, nargs="+", default=[],
        help="files with reviews (YAML or JSON, lists too), instead of the cluster",
    )  # fmt: skip
    parser.epilog = "Uses the kubeconfig as kubectl does. HTML needs the extra `report`."


def run(args: argparse.Namespace) -> int:
    """Write the report."""
    wanted = _product(args)
    reviews = _read_files(args.files) if args.files else asyncio.run(_read_cluster(wanted))
    chosen = choose(reviews, wanted, args.period or "")
    reports = sorted(chosen, key=lambda one: (-one.worst, one.name))
    text = _render(reports, args.format, args.period or "newest period")
    if args.output:
        args.output.write_text(text, encoding="utf-8")
        print(args.output)
    else:
        print(text, end="")
    return 0


def _product(args: argparse.Namespace) -> tuple[str, str] | None:
    """Which product; None for all."""
    if args.all == bool(args.product):
        raise InvalidInput([Problem("product", "give one as NAMESPACE/NAME, or use --all")])
    if args.all:
        return None
    return parse_key(args.product, argument="product")


def choose(
    reviews: Iterable[DataProductReview], wanted: tuple[str, str] | None, period: str
) -> list[ReportFacts]:
    """The facts of the reviews that are asked for, each with the one before it.

    Raises
    ------
    InvalidInput
        There is none; the message says which there are.
    """
    by_product: dict[tuple[str, str, str], list[DataProductReview]] = {}
    for one in reviews:
        ref = one.spec.product_ref
        by_product.setdefault((one.metadata.namespace, ref.name, ref.uid), []).append(one)
    found: list[ReportFacts] = []
    known: list[str] = []
    for (namespace, name, _), each in sorted(by_product.items()):
        if wanted is not None and wanted != (namespace, name):
            continue
        ordered = sorted(each, key=lambda one: one.spec.period.start)
        known += [period_name(one) for one in ordered]
        place = _place(ordered, period)
        if place is not None:
            found.append(facts_of(ordered[place], ordered[place - 1] if place else None))
    if found:
        return found
    whose = "/".join(wanted) if wanted else "any product"
    if not known:
        text = (
            f"there is no review of {whose}: set spec.review of the DataProduct, and wait for a day"
        )
    elif period:
        text = f'there is no period "{period}" of {whose}: there are {", ".join(sorted(set(known))[-6:])}'
    else:
        text = f"no review of {whose} is sealed yet: name an open one by --period {known[-1]}"
    raise InvalidInput([Problem("period", text)])


def period_name(review: DataProductReview) -> str:
    """The period as the review's name has it, e.g. 2026-12."""
    return review.metadata.name.removeprefix(f"{review.spec.product_ref.name}-")


def _place(ordered: Sequence[DataProductReview], period: str) -> int | None:
    """Where the period's review is; the newest sealed one's where none is named."""
    places = [
        place
        for place, one in enumerate(ordered)
        if (period_name(one) == period if period else one.status.seal_time is not None)
    ]
    return places[-1] if places else None


def _render(reports: Sequence[ReportFacts], form: str, period: str) -> str:
    match form:
        case "json":
            return as_json(reports)
        case "csv":
            return as_csv(reports)
        case "html":
            try:
                from sluicegate.reporting.page import page  # noqa: PLC0415 - an extra
            except ImportError as error:
                raise NoReportExtra(
                    f"HTML needs {error.name}: install sluicegate[report], or take --format markdown"
                ) from error
            title = reports[0].name if len(reports) == 1 else "Products"
            return page(reports, f"{title}, {period}")
        case _:
            return markdown(reports)


def _read_files(files: Iterable[Path]) -> list[DataProductReview]:
    found = []
    for path in files:
        try:
            documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError) as error:
            raise InvalidInput([Problem(str(path), f"can't be read: {error}")]) from error
        for document in documents:
            items = document.get("items", [document]) if isinstance(document, dict) else []
            for item in items:
                review = parse_review(item) if item.get("kind") == names.REVIEW_KIND else None
                if review is None:
                    text = f"has an object that is no {names.REVIEW_KIND}: write it with kubectl get dprev -o yaml"
                    raise InvalidInput([Problem(str(path), text)])
                found.append(review)
    return found


async def _read_cluster(wanted: tuple[str, str] | None) -> list[DataProductReview]:
    """The reviews of one product, or of all."""
    namespace = wanted[0] if wanted else ""
    labels = f"{names.LABEL_PRODUCT}={wanted[1]}" if wanted else ""
    found = []
    async with kube_api() as api:
        async for page in api.pages(
            DATA_PRODUCT_REVIEWS, namespace=namespace, labels=labels, chunk=50
        ):
            found += [one for one in map(parse_review, page.items) if one is not None]
    return found

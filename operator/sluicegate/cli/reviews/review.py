"""`sluicegate review`: signing of a review, or a calendar with the due dates of reviews."""

import argparse
import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.api.review import SignVerdict
from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.inputs.cluster_access import kube_api
from sluicegate.cli.inputs.object_name import parse_name
from sluicegate.cli.printing.output import add_output, objects, write, write_text
from sluicegate.cli.reviews.reviewed_products import products_in
from sluicegate.errors import MissingExtra, invalid
from sluicegate.kube.errors import NotFound
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, SUBJECT_REVIEWS, Key
from sluicegate.reviews.seal import differs_from_seal
from sluicegate.reviews.signing import Signature, role_of, signed
from sluicegate.reviews.store import read_review


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    sign = acts.add_parser("sign", help="sign a sealed review in your own name")
    sign.add_argument("review", help="NAMESPACE/NAME of a DataProductReview, or NAME")
    sign.add_argument(
        "--role", help="your role in the product's team; required if you have several"
    )
    sign.add_argument(
        "--verdict", choices=[str(verdict) for verdict in SignVerdict], default="Agree"
    )
    sign.add_argument("--note", default="", help="note, at most 500 characters")
    add_output(sign)
    add_access(sign)
    calendar = acts.add_parser("calendar", help="write the due dates of reviews as iCalendar")
    calendar.add_argument(
        "--namespace", "-n", default="", help="namespace of the products; all when left out"
    )
    add_access(calendar, namespace=False)
    calendar.add_argument("--file", type=Path, help="file to write; standard output when left out")
    parser.epilog = (
        "Uses the kubeconfig as kubectl does. A calendar needs the extra `report`. Exit codes: 0 done,"
        " 1 failed, 2 wrong input."
    )


def run(args: argparse.Namespace) -> int:
    """Sign, or write the calendar."""
    if args.act == "sign":
        key = parse_name(args.review, argument="review", example="pricing/pricing-2026-12")
        sentence, body = asyncio.run(_sign(key, args))
        if args.output == "name":
            print(f"{names.REVIEW_SINGULAR}.{names.GROUP}/{key.name}")
        elif args.output in {"json", "yaml"}:
            write(objects([body], single=True), args.output)
        else:
            print(sentence)
        return 0
    try:
        from sluicegate.reporting.agenda import calendar  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra(f"a calendar needs {error.name}: install sluicegate[report]") from error
    write_text(calendar(asyncio.run(_products(args.namespace))), args.file)
    return 0


async def _sign(key: Key, args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Sign; return what was done in a sentence, and the review of the API server's answer."""
    async with kube_api("sluicegate-review") as api:
        answer = await api.create(SUBJECT_REVIEWS, {"metadata": {}})
        username = str(answer["status"]["userInfo"]["username"])
        try:
            review = read_review(await api.get(DATA_PRODUCT_REVIEWS, key))
        except NotFound as error:
            text = (
                f"there is no {key}: `kubectl get dprev -n {key.namespace}` lists those there are"
            )
            raise invalid("review", text) from error
        if differs_from_seal(review) and args.verdict != SignVerdict.OBJECT:
            text = "the digest does not match, so the ledger was changed after it was sealed: use --verdict Object"
            raise invalid("review", text)
        role = role_of(review, username, args.role)
        signature = Signature(username, role, args.verdict, args.note)
        change = signed(review, signature, sign_time=int(datetime.now(UTC).timestamp()))
        body = await api.patch(
            DATA_PRODUCT_REVIEWS, key, change, resource_version=review.metadata.resource_version
        )
    return f"{key} is signed by {username} as {role}: {args.verdict}", dict(body)


async def _products(namespace: str) -> Sequence[DataProduct]:
    async with kube_api() as api:
        return await products_in(api, namespace)

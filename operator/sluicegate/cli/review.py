"""`sluicegate review`: sign a review, or write the due dates of reviews as a calendar."""

import argparse
import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sluicegate.api.base import rfc3339
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview, ReviewState, SignVerdict
from sluicegate.cli.cluster_access import kube_api
from sluicegate.cli.object_name import parse_name
from sluicegate.cli.reviewed_products import products_in
from sluicegate.errors import InvalidInput, Problem, SluicegateError
from sluicegate.kube.errors import NotFound
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key, Resource
from sluicegate.ledger.periods import local_day
from sluicegate.reviews.store import read_review

WHO_AM_I = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)


class NoCalendarExtra(SluicegateError):  # noqa: N818 - says what is the case
    """The extra that is needed isn't installed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    sign = acts.add_parser("sign", help="sign a sealed review in your own name")
    sign.add_argument("review", help="NAMESPACE/NAME of a DataProductReview, or NAME")
    sign.add_argument(
        "--role", help="your role in the product's team; required if you have several"
    )
    sign.add_argument("--verdict", choices=[str(one) for one in SignVerdict], default="Agree")
    sign.add_argument("--note", default="", help="note, at most 500 characters")
    calendar = acts.add_parser("calendar", help="write the due dates of reviews as iCalendar")
    calendar.add_argument(
        "--namespace", default="", help="products as NAMESPACE/NAME; all when left out"
    )
    calendar.add_argument(
        "--output", type=Path, help="file to write; standard output when left out"
    )
    parser.epilog = "Uses the kubeconfig as kubectl does. A calendar needs the extra `report`."


def run(args: argparse.Namespace) -> int:
    """Sign, or write the calendar."""
    if args.act == "sign":
        key = parse_name(args.review, argument="review", example="pricing/pricing-2026-12")
        print(asyncio.run(_sign(key, args)))
        return 0
    try:
        from sluicegate.reporting.agenda import calendar  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NoCalendarExtra(
            f"a calendar needs {error.name}: install sluicegate[report]"
        ) from error
    text = calendar(asyncio.run(_products(args.namespace)))
    if args.output:
        args.output.write_text(text, encoding="utf-8", newline="")
        print(args.output)
    else:
        print(text, end="")
    return 0


async def _sign(key: Key, args: argparse.Namespace) -> str:
    async with kube_api("sluicegate-review") as api:
        answer = await api.create(WHO_AM_I, {"metadata": {}})
        username = str(answer["status"]["userInfo"]["username"])
        try:
            review = read_review(await api.get(DATA_PRODUCT_REVIEWS, key))
        except NotFound as error:
            text = (
                f"there is no {key}: `kubectl get dprev -n {key.namespace}` lists those there are"
            )
            raise InvalidInput([Problem("review", text)]) from error
        role = role_of(review, username, args.role)
        now = datetime.now(UTC)
        entry = {"username": username, "role": role, "verdict": args.verdict,
                 "note": args.note, "signTime": rfc3339(int(now.timestamp()))}  # fmt: skip
        signatures = with_signature(review, entry)
        await api.patch(
            DATA_PRODUCT_REVIEWS, key, {"spec": {"signOffs": signatures}},
            resource_version=review.metadata.resource_version,
        )  # fmt: skip
    return f"{key} is signed by {username} as {role}: {args.verdict}"


def role_of(review: DataProductReview, username: str, asked: str | None) -> str:
    """The role in which somebody signs.

    Raises
    ------
    InvalidInput
        The review can't be signed, or not by this person so; the message says what to do.
    """
    status = review.status
    if status.seal_time is None:
        end = local_day(review.spec.period.end, status.time_zone)
        text = f"isn't sealed yet: its period ends on {end}, sign some days later"
        raise InvalidInput([Problem("review", text)])
    if status.state in {ReviewState.REVIEWED, ReviewState.SKIPPED}:
        by = ", ".join(status.reviewed_by)
        raise InvalidInput([Problem("review", f"was signed by {by}: add a note to spec.notes")])
    roles = [one.role for one in status.team if one.username == username]
    known = sorted({one.role for one in status.team} | set(status.signed_by))
    if asked is not None and asked not in known:
        text = f"neither spec.team nor signedBy has the role {asked}: name {' or '.join(known)}"
        raise InvalidInput([Problem("role", text)])
    if asked is not None:
        return asked  # admission knows who holds the verb `review`
    if len(roles) == 1:
        return roles[0]
    team = ", ".join(f"{one.username} as {one.role}" for one in status.team) or "nobody"
    text = f"{username} isn't in the team ({team}): with the verb review, name a role with --role"
    raise InvalidInput([Problem("role", text)])


def with_signature(review: DataProductReview, entry: dict[str, str]) -> list[dict[str, object]]:
    """The signatures with this one, in the place of the same person's in the same role."""
    kept = [
        one.to_dict()
        for one in review.spec.sign_offs
        if (one.username, one.role) != (entry["username"], entry["role"])
    ]
    return [*kept, dict(entry)]


async def _products(namespace: str) -> Sequence[DataProduct]:
    async with kube_api() as api:
        return await products_in(api, namespace)

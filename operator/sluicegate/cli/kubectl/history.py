"""`sluicegate history`: the versions of a product with their outcomes, or its decisions."""

import argparse
import sys
from datetime import UTC, datetime
from typing import Final

from sluicegate.cli.kubectl.session import Session, add_product, opened
from sluicegate.cli.printing.output import add_output, document, write
from sluicegate.cli.printing.terminal import clean, coloured, say, table, width_of
from sluicegate.kube.resources import Key
from sluicegate.views import product as facts

HEADER: Final = (
    "VERSION", "OUTCOME", "TRAFFIC", "BROUGHT", "SOURCE", "SINCE", "UNTIL", "REVISION", "REASON",
)  # fmt: skip
WIDE: Final = ("IMAGE",)
DECISIONS: Final = ("TIME", "TYPE", "REASON", "STABLE", "MESSAGE")
DISPENSABLE: Final = ("REVISION", "SOURCE", "UNTIL", "STABLE")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_product(parser)
    parser.add_argument(
        "--decisions", action="store_true",
        help="the decisions with their numbers, from the product's reviews and its status",
    )  # fmt: skip
    add_output(parser)
    parser.epilog = "Exit codes: 0 done, 1 failed, 2 wrong input."


def run(args: argparse.Namespace) -> int:
    """Print the history, the newest first."""
    with opened(args) as session:
        key = session.key(args.product)
        product = session.product(key)
        decisions = _decisions(session, key, product) if args.decisions else []
    versions = facts.versions(product)
    if args.output in {"json", "yaml"}:
        found = {"decisions": decisions} if args.decisions else {"versions": versions}
        write(
            document("ProductHistory", namespace=key.namespace, name=key.name, **found), args.output
        )
    elif args.output == "name":
        for one in versions:
            print(clean(one.get("version")))
    elif args.decisions:
        names = ("decisionTime", "type", "reason", "version", "message")
        rows = [[str(one.get(name, "")) for name in names] for one in decisions]
        _print(DECISIONS, rows, args)
    else:
        wide = args.output == "wide"
        now = datetime.now(UTC)
        header = (*HEADER[:-1], *(WIDE if wide else ()), HEADER[-1])
        _print(header, [row(one, now, wide=wide) for one in versions], args)
    return 0


def row(version: facts.Body, now: datetime, *, wide: bool = False) -> list[str]:
    """Cells of a version, in the order of the header."""
    weight = version.get("weight")
    return [
        str(version.get("version", "")),
        str(version.get("outcome", "")),
        "" if weight is None else f"{weight} %",
        str(version.get("brought", "")),
        str(version.get("source", "")),
        facts.age(str(version.get("startTime", "")), now),
        facts.age(str(version.get("endTime", "")), now),
        str(version.get("revision", "")),
        *([str(version.get("image", ""))] if wide else []),
        str(version.get("reason", "")),
    ]


def _print(header: tuple[str, ...], rows: list[list[str]], args: argparse.Namespace) -> None:
    if not rows:
        say("There is no history yet.")
        return
    width = 0 if args.output == "wide" else width_of(sys.stdout)
    text = table(header, rows, width=width, dispensable=DISPENSABLE, colours=coloured(sys.stdout))
    sys.stdout.write(text)


def _decisions(session: Session, key: Key, product: facts.Body) -> list[facts.Body]:
    """Decisions of all reviews that are kept, and the last of status, the newest first."""
    found: dict[tuple[str, str, str], facts.Body] = {}
    for review in session.reviews(key):
        for one in facts.entries(review, "status", "decisions"):
            found[_identity(one)] = one
    if last := facts.part(product, "status", "decision"):
        found.setdefault(_identity(last), last)
    return sorted(found.values(), key=lambda one: str(one.get("decisionTime")), reverse=True)


def _identity(one: facts.Body) -> tuple[str, str, str]:
    return str(one.get("decisionTime")), str(one.get("type")), str(one.get("reason"))

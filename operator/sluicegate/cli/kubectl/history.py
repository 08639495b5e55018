"""`sluicegate history`: the versions of a product with their outcomes, its decisions, or its iterations."""

import argparse
import sys
from datetime import UTC, datetime
from typing import Final

from sluicegate.cli.kubectl.session import Session, add_product, opened
from sluicegate.cli.printing.output import FORMATS, add_output, document, write
from sluicegate.cli.printing.terminal import coloured, print_progress, table, width_of
from sluicegate.errors import invalid
from sluicegate.kube.resources import Key
from sluicegate.views import iterations
from sluicegate.views import product as facts
from sluicegate.views.plain_text import clean_text
from sluicegate.views.spreadsheet import csv_text, escape_cell
from sluicegate.views.trials import statement_text

HEADER: Final = (
    "VERSION", "OUTCOME", "TRAFFIC", "BROUGHT", "SOURCE", "SINCE", "UNTIL", "REVISION", "REASON",
)  # fmt: skip
WIDE: Final = ("TRIED", "IMAGE")
ITERATIONS: Final = ("END", "VERSION", "TRIED", "OUTCOME", "BROUGHT")
DECISIONS: Final = ("TIME", "TYPE", "REASON", "STABLE", "MESSAGE")
DISPENSABLE: Final = ("REVISION", "SOURCE", "UNTIL", "STABLE", "END")
SHORTENED: Final = ("TRIED", "OUTCOME", "BROUGHT")
"""Columns of text that a narrow terminal cuts."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_product(parser)
    choice_group = parser.add_mutually_exclusive_group()
    choice_group.add_argument(
        "--decisions", action="store_true",
        help="the decisions with their numbers, from the product's reviews and its status",
    )  # fmt: skip
    choice_group.add_argument(
        "--iterations", action="store_true",
        help="what was tried with each version and what it brought, from the product's reviews and its"
        " status; -o csv for a spreadsheet",
    )  # fmt: skip
    add_output(parser, formats=(*FORMATS, "csv"))
    parser.epilog = "Exit codes: 0 done, 1 failed, 2 wrong input."


def run(args: argparse.Namespace) -> int:
    """Print the history, the newest first."""
    if args.output == "csv" and not args.iterations:
        raise invalid("--output", "csv is for --iterations: add it, or choose another format")
    with opened(args) as session:
        key = session.key(args.product)
        product = session.product(key)
        decisions = _decisions(session, key, product) if args.decisions else []
        log = iterations.iterations(product, session.reviews(key)) if args.iterations else []
    versions = facts.versions(product)
    if args.output in {"json", "yaml"}:
        payload = {"versions": versions}
        if args.decisions or args.iterations:
            payload = {"decisions": decisions} if args.decisions else {"iterations": log}
        write(
            document("ProductHistory", namespace=key.namespace, name=key.name, **payload),
            args.output,
        )
    elif args.output == "csv":
        sys.stdout.write(
            csv_text((map(escape_cell, row) for row in iterations.rows(log)), iterations.COLUMNS)
        )
    elif args.output == "name":
        for version in versions:
            print(clean_text(version.get("version")))
    elif args.iterations:
        _print(ITERATIONS, [_iteration(entry) for entry in log], args)
    elif args.decisions:
        names = ("decisionTime", "type", "reason", "version", "message")
        rows = [[str(decision.get(name, "")) for name in names] for decision in decisions]
        _print(DECISIONS, rows, args)
    else:
        is_wide = args.output == "wide"
        now = datetime.now(UTC)
        header = (*HEADER[:-1], *(WIDE if is_wide else ()), HEADER[-1])
        _print(header, [row(version, now, wide=is_wide) for version in versions], args)
    return 0


def row(version: facts.Body, now: datetime, *, wide: bool = False) -> list[str]:
    """Return the cells of a version, in the order of the header."""
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
        *([str(version.get("tried", "")), str(version.get("image", ""))] if wide else []),
        str(version.get("reason", "")),
    ]


def _iteration(entry: facts.Body) -> list[str]:
    trial_text = statement_text(entry)
    cells = (
        entry.get("endTime") or "now",
        entry.get("version", ""),
        trial_text,
        _outcome(entry),
        entry.get("brought", ""),
    )
    return [str(cell) for cell in cells]


def _outcome(entry: facts.Body) -> str:
    reason = f" ({entry['reason']})" if entry.get("reason") else ""
    return f"{entry.get('outcome', '')}{reason}"


def _print(header: tuple[str, ...], rows: list[list[str]], args: argparse.Namespace) -> None:
    if not rows:
        print_progress("There is no history yet.")
        return
    width = 0 if args.output == "wide" else width_of(sys.stdout)
    text = table(
        header, rows, width=width, dispensable=DISPENSABLE, shortened=SHORTENED,
        colours=coloured(sys.stdout),
    )  # fmt: skip
    sys.stdout.write(text)


def _decisions(session: Session, key: Key, product: facts.Body) -> list[facts.Body]:
    """Return the decisions of all kept reviews, and the last of status, the newest first."""
    decisions: dict[tuple[str, str, str], facts.Body] = {}
    for review in session.reviews(key):
        for decision in facts.entries(review, "status", "decisions"):
            decisions[_identity(decision)] = decision
    if last := facts.section(product, "status", "decision"):
        decisions.setdefault(_identity(last), last)
    return sorted(
        decisions.values(), key=lambda decision: str(decision.get("decisionTime")), reverse=True
    )


def _identity(decision: facts.Body) -> tuple[str, str, str]:
    return str(decision.get("decisionTime")), str(decision.get("type")), str(decision.get("reason"))

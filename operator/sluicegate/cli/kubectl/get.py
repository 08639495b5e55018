"""`sluicegate get`: products in a table, by team, market and state."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from sluicegate.cli.kubectl.operator_lease import warn_of_abandoned_leases
from sluicegate.cli.kubectl.session import Session, add_product, opened, refusals, username
from sluicegate.cli.printing.output import add_output, objects, write, write_names
from sluicegate.cli.printing.terminal import coloured, print_progress, table, width_of
from sluicegate.kube.errors import Forbidden, Gone, NotFound, Transient
from sluicegate.kube.resources import DATA_PRODUCTS, Key, key_of
from sluicegate.views import product as facts

STATES: Final = ("Healthy", "Degrading", "Degraded", "Unknown")
HEADER: Final = ("NAMESPACE", "NAME", "STATE", "SLO", "MODEL", "CANARY", "TEAM", "MARKETS", "AGE", "REASON")  # fmt: skip
WIDE: Final = ("PRIORITY", "DIAGNOSIS", "RETRAINING", "REVIEW")
DISPENSABLE: Final = (
    "REVIEW",
    "RETRAINING",
    "DIAGNOSIS",
    "PRIORITY",
    "AGE",
    "MARKETS",
    "TEAM",
    "SLO",
)
"""What is left out of a narrow terminal, in this order."""
NEVER: Final = datetime.fromtimestamp(0, UTC)
"""A time at which rows are compared, so that age is no change."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_product(parser, nargs="?")
    selection_group = parser.add_argument_group("selection")
    selection_group.add_argument(
        "--all-namespaces", "-A", action="store_true", help="of all namespaces"
    )
    selection_group.add_argument(
        "--selector", "-l", default="", metavar="LABELS", help="label selector"
    )
    selection_group.add_argument(
        "--team", default="", help="owner, its last part, or a member's user name"
    )
    selection_group.add_argument("--market", default="", help="products of a market, e.g. AT")
    selection_group.add_argument("--state", default="", choices=("", *STATES), metavar="STATE",
                       help="one of " + ", ".join(STATES))  # fmt: skip
    selection_group.add_argument(
        "--needs-action", action="store_true",
        help="products that need a person: approval, stalled, degraded without a remedy, review",
    )  # fmt: skip
    selection_group.add_argument(
        "--needs-me",
        action="store_true",
        help="the same, of products whose team lists you, or that wait for the answer of one of these",
    )
    parser.add_argument(
        "--watch", "-w", action="store_true", help="print each change, until Ctrl-C"
    )
    parser.add_argument("--no-headers", action="store_true", help="leave the names of columns out")
    add_output(parser)
    parser.epilog = (
        "A narrow terminal leaves columns out; a pipe gets all of them. Exit codes: 0 done, 1 failed,"
        " 2 wrong input (also a product that does not exist)."
    )


def run(args: argparse.Namespace) -> int:
    """Print the products."""
    with opened(args) as session:
        products = list(_selected(session, args))
        if args.needs_me or args.needs_action:
            code = _needs(session, products, args)
            warn_of_abandoned_leases(session.client, products)
            return code
        _print(products, args, headers=not args.no_headers)
        warn_of_abandoned_leases(session.client, products)
        if args.watch:
            _follow(session, args, products)
    return 0


def _needs(session: Session, products: list[facts.Body], args: argparse.Namespace) -> int:
    """Print the needs of the products, which are tasks of a person."""
    from sluicegate.cli.kubectl import needs  # noqa: PLC0415 - imports the types

    user = username(session.client) if args.needs_me else ""
    if args.needs_me:
        if not (args.product or args.all_namespaces):
            products += _readable(session, needs.upstreams_elsewhere(products, user))
        products = needs.of_user(products, user)
    if args.output in {"json", "yaml", "name"}:
        _print(needs.needing(products), args, headers=False)
    elif rows := needs.rows(products, datetime.now(UTC), user):
        is_wide = args.output == "wide"
        sys.stdout.write(
            table(
                needs.HEADER, rows, width=0 if is_wide else width_of(sys.stdout),
                dispensable=needs.DISPENSABLE, headers=not args.no_headers,
            )
        )  # fmt: skip
    else:
        print_progress("No product needs a person.")
    return 0


def _readable(session: Session, keys: Sequence[Key]) -> Iterator[facts.Body]:
    """Yield the products of other namespaces that exist and that the person may read."""
    for key in keys:
        try:
            yield session.client.get(DATA_PRODUCTS, key)
        except (Forbidden, NotFound):
            continue


def _selected(session: Session, args: argparse.Namespace) -> Iterator[facts.Body]:
    if args.product:
        yield session.product(session.key(args.product))
        return
    with refusals("list", DATA_PRODUCTS, session.namespace):
        for product in session.client.items(
            DATA_PRODUCTS, namespace=session.namespace, labels=args.selector
        ):
            if _is_selected(product, args):
                yield product


def _is_selected(product: facts.Body, args: argparse.Namespace) -> bool:
    return facts.matches(product, team=args.team, market=args.market, state=args.state)


def _print(products: list[facts.Body], args: argparse.Namespace, *, headers: bool) -> None:
    if args.output in {"json", "yaml"}:
        for product in products:
            product.update(apiVersion=DATA_PRODUCTS.api_version, kind=DATA_PRODUCTS.kind)
        write(objects(products, single=bool(args.product)), args.output)
    elif args.output == "name":
        write_names(products)
    elif products:
        _table(products, args, headers=headers)
    else:
        location = (
            "" if args.all_namespaces else f" in the namespace {args.namespace or 'of the context'}"
        )
        print_progress(f"No products found{location}.")


def _table(products: list[facts.Body], args: argparse.Namespace, *, headers: bool) -> None:
    is_wide = args.output == "wide"
    first = 0 if args.all_namespaces else 1
    header = (*HEADER[first:-1], *(WIDE if is_wide else ()), HEADER[-1])
    now = datetime.now(UTC)
    rows = [row(product, now, wide=is_wide)[first:] for product in products]
    sys.stdout.write(
        table(
            header, rows, width=0 if is_wide else width_of(sys.stdout), dispensable=DISPENSABLE,
            colours=coloured(sys.stdout), headers=headers,
        )
    )  # fmt: skip
    sys.stdout.flush()


def row(product: facts.Body, now: datetime, *, wide: bool = False) -> list[str]:
    """Return the cells of a product, in the order of the header."""
    spec, summary = facts.section(product, "spec"), facts.section(product, "status", "summary")
    meta = product["metadata"]
    cells = [
        meta.get("namespace", ""),
        meta["name"],
        facts.state_of(product),
        summary.get("slo", ""),
        facts.section(product, "status", "stable").get("version", ""),
        summary.get("canary", ""),
        facts.team_of(str(spec.get("owner", ""))),
        facts.join_values(spec.get("markets") or ()),
        facts.age(meta.get("creationTimestamp", ""), now),
    ]
    if wide:
        training = facts.section(product, "status", "retraining")
        cells += [
            spec.get("priority", ""),
            facts.section(product, "status", "diagnosis").get("cause", ""),
            training.get("waitingFor") or facts.section(training, "lastResult").get("outcome", ""),
            facts.condition(product, "ReviewDue").get("reason", "")
            or facts.condition(product, "ActionsLate").get("reason", ""),
        ]
    return [str(cell or "") for cell in (*cells, summary.get("reason"))]


def _follow(session: Session, args: argparse.Namespace, products: list[facts.Body]) -> None:
    """Print a row for each change of the products; a watch that ends begins again."""
    printed = {key_of(product): row(product, NEVER, wide=True) for product in products}
    key = session.key(args.product) if args.product else None
    while True:
        try:
            for kind, product in session.client.watch(
                DATA_PRODUCTS, namespace=key.namespace if key else session.namespace,
                name=key.name if key else "", labels=args.selector,
            ):  # fmt: skip
                cells, name = row(product, NEVER, wide=True), key_of(product)
                if kind == "DELETED":
                    printed.pop(name, None)
                elif _is_selected(product, args) and printed.get(name) != cells:
                    printed[name] = cells
                    _print([product], args, headers=False)
        except (Gone, Transient) as error:
            print_progress(f"the watch ended and begins again: {error}")
            time.sleep(1)

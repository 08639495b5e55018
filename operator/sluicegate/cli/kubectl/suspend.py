"""`sluicegate suspend`: hold rollouts and retrainings of a product; by Git, or live.

The spec usually belongs to Git, so the change is shown, and made only with --live, which asks first.
"""

import argparse
from typing import Any

from sluicegate.cli.kubectl.action import request_note, stopped_before, token
from sluicegate.cli.kubectl.result import report
from sluicegate.cli.kubectl.session import Session, add_product, opened, refusals
from sluicegate.cli.kubectl.waiting import CODES, REACHED, WaitResult, seconds_of, wait
from sluicegate.cli.printing.output import add_output
from sluicegate.cli.printing.terminal import print_progress
from sluicegate.kube.resources import DATA_PRODUCTS
from sluicegate.views import product as facts
from sluicegate.views.person_actions import Request, applied_by
from sluicegate.views.plain_text import clean_text
from sluicegate.views.suspension import (
    CONSEQUENCES,
    RESUME,
    SUSPEND,
    is_suspended,
    suspension_change,
    suspension_value,
)


def configure(
    parser: argparse.ArgumentParser,
    change: str = "suspends a product: no rollout and no retraining begins by itself",
) -> None:
    """Declare the arguments of a command that makes this change of spec.suspend."""
    parser.description = (
        f"Show the change of the manifest that {change}. With --live the object is changed instead."
    )
    add_product(parser)
    parser.add_argument(
        "--live", action="store_true", help="change the object itself; Git may revert it"
    )
    parser.add_argument(
        "--reason", default="", metavar="TEXT",
        help="why; with --live it is kept beside your user name on the object",
    )  # fmt: skip
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask, for scripts")
    parser.add_argument("--dry-run", action="store_true", help="show the change without making it")
    parser.add_argument("--timeout", default="1m", help="how long to wait (default: 1m)")
    add_output(parser, formats=("table", "json", "yaml", "name"))
    parser.epilog = f"{CODES} --live needs the verb edit-spec."


def run(args: argparse.Namespace, *, suspend: bool = True) -> int:
    """Print the change, or confirm it, write it and wait for its reconcile."""
    seconds = seconds_of(args.timeout)
    verb = SUSPEND if suspend else RESUME
    with opened(args) as session:
        key = session.key(args.product)
        product = session.product(key)
        if is_suspended(product) == suspend:
            return _report(product, WaitResult(REACHED, f"spec.suspend is {_word(product)}"), args)
        if not args.live:
            print(clean_text(f"# {key}{applied_by(product)}: change its manifest, or use --live"))
            print(f"spec:\n  suspend: {'true' if suspend else 'false'}")
            return REACHED
        code = stopped_before(args, key, _request(product, verb), "Nothing was changed.")
        if code is not None:
            return code
        body = _change(session, verb, args.reason)
        with refusals("patch", DATA_PRODUCTS, key.namespace):
            product = session.client.patch(DATA_PRODUCTS, key, body, resource_version=None)
        outcome, product = wait(session, key, _reconciled, seconds, progress=print_progress)
    return _report(product, outcome, args)


def _request(product: facts.Body, verb: str) -> Request:
    details = [CONSEQUENCES[verb]]
    if owner := applied_by(product):
        details.append(f"Warning: it{owner}, which may revert the change")
    return Request(f"{verb} the rollouts and retrainings", details)


def _change(session: Session, verb: str, reason: str) -> dict[str, Any]:
    value = suspension_value(verb, token())
    return suspension_change(verb, request_note(session, value, reason) if reason else None)


def _reconciled(product: facts.Body) -> WaitResult:
    word = _word(product)
    if facts.is_observed(product):
        return WaitResult(REACHED, f"spec.suspend is {word}, and the operator has reconciled it")
    return WaitResult(None, f"spec.suspend is {word}; waits for the operator")


def _report(product: facts.Body, outcome: WaitResult, args: argparse.Namespace) -> int:
    return report(product, outcome, action=args.command, request=_word(product), output=args.output)


def _word(product: facts.Body) -> str:
    return "true" if is_suspended(product) else "false"

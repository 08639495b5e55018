"""`sluicegate suspend`: hold rollouts and retrainings of a product; by Git, or live.

The spec usually belongs to Git, so the change is shown, and made only with --live.
"""

import argparse

from sluicegate.cli.kubectl.result import report
from sluicegate.cli.kubectl.session import add_product, opened, refusals
from sluicegate.cli.kubectl.waiting import CODES, REACHED, WaitResult, seconds_of, wait
from sluicegate.cli.printing.output import add_output
from sluicegate.cli.printing.terminal import print_progress
from sluicegate.kube.resources import DATA_PRODUCTS
from sluicegate.views import product as facts
from sluicegate.views.person_actions import applied_by
from sluicegate.views.plain_text import clean_text


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
    parser.add_argument("--timeout", default="1m", help="how long to wait (default: 1m)")
    add_output(parser, formats=("table", "json", "yaml", "name"))
    parser.epilog = f"{CODES} --live needs the verb edit-spec."


def run(args: argparse.Namespace, *, suspend: bool = True) -> int:
    """Print the change, or write it and wait for its reconcile."""
    seconds = seconds_of(args.timeout)
    with opened(args) as session:
        key = session.key(args.product)
        product = session.product(key)
        if bool(facts.section(product, "spec").get("suspend")) == suspend:
            return _report(product, WaitResult(REACHED, f"spec.suspend is {_word(suspend)}"), args)
        if not args.live:
            print(clean_text(f"# {key}{applied_by(product)}: change its manifest, or use --live"))
            print(f"spec:\n  suspend: {_word(suspend)}")
            return REACHED
        with refusals("patch", DATA_PRODUCTS, key.namespace):
            product = session.client.patch(
                DATA_PRODUCTS, key, {"spec": {"suspend": suspend}}, resource_version=None
            )
        if owner := applied_by(product):
            print_progress(clean_text(f"Warning: it{owner}, which may revert the change"))
        outcome, product = wait(session, key, _reconciled, seconds, progress=print_progress)
    return _report(product, outcome, args)


def _reconciled(product: facts.Body) -> WaitResult:
    word = _word(bool(facts.section(product, "spec").get("suspend")))
    if facts.is_observed(product):
        return WaitResult(REACHED, f"spec.suspend is {word}, and the operator has reconciled it")
    return WaitResult(None, f"spec.suspend is {word}; waits for the operator")


def _report(product: facts.Body, outcome: WaitResult, args: argparse.Namespace) -> int:
    request = _word(bool(facts.section(product, "spec").get("suspend")))
    return report(product, outcome, action=args.command, request=request, output=args.output)


def _word(suspend: bool) -> str:  # noqa: FBT001 - it is the value of the field
    return "true" if suspend else "false"

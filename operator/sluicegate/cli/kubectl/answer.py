"""Answers of a party to a candidate: show the evidence, ask, write the annotation in one's own name, wait.

The annotation names the rollout that the person saw, so it never counts for another candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sluicegate.cli.kubectl.action import stopped_before, written_reason
from sluicegate.cli.kubectl.result import report
from sluicegate.cli.kubectl.session import Refused, add_product, opened, refusal, username
from sluicegate.cli.kubectl.waiting import (
    CODES,
    FAILED,
    REACHED,
    WaitResult,
    seconds_of,
    wait,
)
from sluicegate.cli.printing.output import add_output
from sluicegate.cli.printing.terminal import print_progress
from sluicegate.errors import invalid
from sluicegate.kube.errors import Forbidden, NotFound
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.views import product as facts
from sluicegate.views.approval_actions import (
    AnswerRequest,
    answer_request,
    approvals_of,
    party_for,
)
from sluicegate.views.approval_notes import AGREE, REFUSE
from sluicegate.views.person_actions import Stale
from sluicegate.views.plain_text import clean_text

if TYPE_CHECKING:
    import argparse

    from sluicegate.cli.kubectl.session import Session


@dataclass(frozen=True, slots=True)
class AnswerCommand:
    """The command of one verdict; `description` is that of its help."""

    verdict: str
    description: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""
        parser.description = self.description
        add_product(parser)
        parser.add_argument(
            "version", metavar="VERSION", nargs="?", default="",
            help="the version that is answered (default: the candidate)",
        )  # fmt: skip
        parser.add_argument(
            "--for", dest="party", metavar="PARTY", default="",
            help="a role of spec.team, or a consumer as NAME or NAMESPACE/NAME (default: your role)",
        )  # fmt: skip
        parser.add_argument(
            "--reason", default="", metavar="TEXT", help="why; it is kept in status"
        )
        parser.add_argument("--yes", "-y", action="store_true", help="do not ask, for scripts")
        parser.add_argument(
            "--dry-run", action="store_true", help="show the answer without giving it"
        )
        parser.add_argument(
            "--no-wait", dest="wait", action="store_false", help="do not wait for the operator"
        )
        parser.add_argument("--timeout", default="1m", help="how long to wait (default: 1m)")
        add_output(parser, formats=("table", "json", "yaml", "name"))
        parser.epilog = CODES

    def run(self, args: argparse.Namespace) -> int:
        """Show the answer, confirm it, write it and print its result."""
        seconds = seconds_of(args.timeout)
        if self.verdict == REFUSE and not args.reason:
            raise invalid("--reason", "is missing: write why the candidate is refused")
        reason = written_reason(args.reason) if args.reason else ""
        with opened(args) as session:
            key = session.key(args.product)
            product = session.product(key)
            user = username(session.client)
            party = party_for(product, user, args.party)
            request = answer_request(product, party, self.verdict, args.version)
            code = stopped_before(args, key, request, "Nothing was answered.", by=f", as {user}")
            if code is not None:
                return code
            _write(session, key, request, request.value(user, reason))
            print_progress(clean_text(f"► {request.annotation} is set on {Key(*request.target)}"))
            outcome = WaitResult(REACHED, "answered, without waiting for the operator")
            if args.wait:
                outcome, product = wait(
                    session, key, lambda body: received(body, request, user), seconds,
                    progress=lambda text: print_progress(f"◎ {clean_text(text)}"),
                )  # fmt: skip
        word = f"{request.verdict}/{request.version}/{party}"
        return report(
            product, outcome, action=self.verdict.lower(), request=word, output=args.output
        )


def received(product: facts.Body, request: AnswerRequest, user: str) -> WaitResult:
    """Return whether the operator has read an answer, and whether it counts."""
    approvals = approvals_of(product)
    if approvals.get("id") != request.rollout:
        return WaitResult(REACHED, facts.decision_line(product) or "the rollout has ended")
    if facts.candidate(product).get("phase") in {"Promoting", "RollingBack"}:
        return WaitResult(REACHED, facts.decision_line(product))
    for answer in facts.entries(approvals, "answers"):
        answer_key = (answer.get("party"), answer.get("user"), answer.get("verdict"))
        if answer_key == (request.party, user, request.verdict):
            problem = str(answer.get("problem", ""))
            lines = facts.approval_lines({"approvals": {**approvals, "answers": []}})
            text = "; ".join(["the answer is recorded", *lines])
            return WaitResult(FAILED, problem) if problem else WaitResult(REACHED, text)
    return WaitResult(None, "waits for the operator")


def _write(session: Session, key: Key, request: AnswerRequest, value: str) -> None:
    """Set the annotation, while the product still has the rollout that was shown."""
    if approvals_of(session.product(key)).get("id") != request.rollout:
        raise Stale(
            f"the rollout of {request.version} of {key} has ended since it was shown: nothing was written;"
            " run the command again"
        )
    target = Key(*request.target)
    body = {"metadata": {"annotations": {request.annotation: value}}}
    try:
        session.client.patch(DATA_PRODUCTS, target, body, resource_version=None)
    except NotFound as error:
        text = f"there is no DataProduct {target}: remove it from spec.rollout.approvals.consumers"
        raise invalid("--for", text) from error
    except Forbidden as error:
        refusal_text = refusal(str(error), "patch", DATA_PRODUCTS.qualified, target.namespace)
        raise Refused(refusal_text) from error


APPROVE: Final = AnswerCommand(
    AGREE,
    "Agree to the candidate of a product with its evidence, in your own name, for a role of its team or"
    " for a consumer (spec.rollout.approvals). The last agreement promotes it.",
)
REFUSAL: Final = AnswerCommand(
    REFUSE,
    "Refuse the candidate of a product, in your own name, for a role of its team or for a consumer"
    " (spec.rollout.approvals). It is rolled back, unless another consumer may still agree.",
)

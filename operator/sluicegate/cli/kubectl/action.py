"""One-shot requests to the operator: show what is asked for, ask, write the annotation, wait, report.

The annotation carries the version that the person saw, and is written only while the object has
exactly that version (by its revision, at the resourceVersion that was read): an approval never
reaches a candidate that took the place of the one that was shown.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sluicegate.cli.kubectl.result import report
from sluicegate.cli.kubectl.session import Refused, add_product, opened, refusal
from sluicegate.cli.kubectl.waiting import (
    CODES,
    FAILED,
    REACHED,
    WaitResult,
    seconds_of,
    wait,
)
from sluicegate.cli.printing.output import add_output
from sluicegate.cli.printing.terminal import clean, say
from sluicegate.errors import SluicegateError, invalid
from sluicegate.kube.errors import Conflict, Forbidden
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.views import product as facts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from sluicegate.cli.kubectl.session import Session

ATTEMPTS: Final = 10
"""Writes that may meet an object that changed meanwhile; its status does so with each evaluation."""
REFUSALS: Final = frozenset({"NotFound"})
"""Reasons of an Alert with which the operator refuses a request."""


class Stale(SluicegateError):  # noqa: N818 - says what is the case
    """What was shown isn't there any more; nothing was written."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for.

    Attributes
    ----------
    sentence : what happens, e.g. `promote v15`.
    details : what it is decided by, a line each.
    version : what the annotation names; empty for requests about no version.
    """

    sentence: str
    details: Sequence[str]
    version: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """A kind of request.

    Attributes
    ----------
    verb : what RBAC calls it. annotation, echo : where it is written, and its field of
        status.lastHandled.
    identify : what the request is about, as the product is; empty where there is nothing.
    ask : what is asked for, of a product and the version on the command line; InvalidInput or Stale
        where there is nothing of the kind.
    description : of the command. version : the meaning of VERSION, None without one.
    pending : why a request may wait for long, e.g. for the last step; empty where it does not.
    """

    verb: str
    annotation: str
    echo: str
    identify: Callable[[facts.Body], tuple[str, ...]]
    ask: Callable[[facts.Body, str], Request]
    description: str
    version: str | None = None
    pending: Callable[[facts.Body], str] = lambda _: ""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""
        parser.description = self.description
        add_product(parser)
        if self.version is not None:
            parser.add_argument(
                "version", metavar="VERSION", nargs="?", default="", help=self.version
            )
        parser.add_argument("--yes", "-y", action="store_true", help="do not ask, for scripts")
        parser.add_argument(
            "--dry-run", action="store_true", help="show the request without making it"
        )
        parser.add_argument(
            "--no-wait", dest="wait", action="store_false",
            help="do not wait for the operator's answer",
        )  # fmt: skip
        parser.add_argument("--timeout", default="1m", help="how long to wait (default: 1m)")
        add_output(parser, formats=("table", "json", "yaml", "name"))
        parser.epilog = (
            f"{CODES} Evidence, questions and progress are on standard error; the result is on"
            " standard output."
        )

    def run(self, args: argparse.Namespace) -> int:
        """Show what is asked for, ask the person, then the operator; print what came of it."""
        seconds = seconds_of(args.timeout)
        with opened(args) as session:
            key = session.key(args.product)
            product = session.product(key)
            request = self.ask(product, getattr(args, "version", ""))
            say(clean(f"{key}: {request.sentence}"))
            for line in request.details:
                say(clean(f"  {line}"))
            if args.dry_run:
                return REACHED
            if not args.yes and not _agreed(f"{request.sentence} of {key}?"):
                say("Nothing was requested.")
                return FAILED
            value = f"{request.version}/{token()}" if request.version else token()
            _write(session, key, self, self.identify(product), value=value)
            say(f"► {self.annotation}={value} is set")
            if not args.wait:
                outcome = WaitResult(REACHED, "requested, without waiting for the answer")
            elif why := self.pending(product):
                outcome = WaitResult(REACHED, why)
            else:
                outcome, product = wait(
                    session, key, lambda body: answered(body, self, value), seconds,
                    progress=lambda text: say(f"◎ {clean(text)}"),
                )  # fmt: skip
        return report(product, outcome, action=self.verb, request=value, output=args.output)


def require_candidate(key: Key, candidate: str, named: str) -> None:
    """Refuse a version on the command line that is another one than the candidate; empty for none."""
    if named and named != candidate:
        raise Stale(f"{named} is not the candidate of {key}, {candidate} is: nothing was written")


def token() -> str:
    """A token that is used once: the time in nanoseconds, as RFC 3339 writes it."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def answered(product: facts.Body, action: Action, value: str) -> WaitResult:
    """Whether the operator handled a request, and how."""
    if facts.part(product, "status", "lastHandled").get(action.echo) != value:
        trial = facts.part(product, "status", "candidate")
        step = facts.step_line(trial) if trial else "no candidate"
        return WaitResult(None, f"waits for the operator ({step})")
    decision = facts.part(product, "status", "decision")
    text = facts.decision_line(product) or "handled"
    refused = decision.get("type") == "Alert" and decision.get("reason") in REFUSALS
    return WaitResult(FAILED if refused else REACHED, text)


def _agreed(question: str) -> bool:
    """Whether the person says yes.

    Raises
    ------
    InvalidInput
        No person can be asked.
    """
    if not sys.stdin.isatty():
        raise invalid("--yes", "no terminal to ask on: add --yes")
    say(clean(f"{question} [y/N]"))
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _write(
    session: Session, key: Key, action: Action, identity: tuple[str, ...], *, value: str
) -> None:
    """Set the annotation, on the object that has what was shown."""
    body = {"metadata": {"annotations": {action.annotation: value}}}
    for _ in range(ATTEMPTS):
        product = session.product(key)
        if (now := action.identify(product)) != identity:
            shown, found = " ".join(identity) or "nothing", " ".join(now) or "nothing"
            raise Stale(
                f"{key} has changed since it was shown: {clean(shown)} then, {clean(found)} now; nothing was"
                f" written: run the command again, and decide about what is there"
            )
        seen = product["metadata"].get("resourceVersion")
        try:
            session.client.patch(DATA_PRODUCTS, key, body, resource_version=seen)
        except Conflict:
            continue
        except Forbidden as error:
            raise Refused(_refusal(str(error), action, key, product)) from error
        return
    raise Stale(f"{key} changes with every write: nothing was written, run the command again")


def _refusal(said: str, action: Action, key: Key, product: facts.Body) -> str:
    text = refusal(said, "patch", DATA_PRODUCTS.qualified, key.namespace)
    if action.annotation in text:
        return text  # the admission policy's own words name who may
    managers = ", ".join(map(clean, facts.managers(product))) or "none is listed"
    return (
        f"{text}; who may {action.verb}: its managers in spec.team ({managers}), and holders of the"
        f" verb {action.verb}"
    )

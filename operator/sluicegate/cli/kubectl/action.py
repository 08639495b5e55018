"""One-shot requests to the operator: show the request, confirm it, write the annotation, wait, report.

The annotation carries the version that the person saw, and is written only while the object has
exactly that version (by its revision, at the resourceVersion that was read): an approval never
reaches a candidate that took the place of the one that was shown.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from sluicegate.api.names import REQUEST_NOTE
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
from sluicegate.kube.errors import Conflict, Forbidden
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.views import product as facts
from sluicegate.views.person_actions import PersonAction, Stale
from sluicegate.views.plain_text import clean_text, is_invisible
from sluicegate.views.request_notes import MAX_REASON_LENGTH, RequestNote

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sluicegate.cli.kubectl.session import Session

ATTEMPTS: Final = 10
"""Writes that may meet an object that changed meanwhile; its status does so with each evaluation."""
REFUSALS: Final = frozenset({"NotFound"})
"""Reasons of an Alert with which the operator refuses a request."""


@dataclass(frozen=True, slots=True)
class Action:
    """The command of one kind of request.

    Attributes
    ----------
    kind : of the request. description : of the command.
    version : the meaning of VERSION, None without one.
    """

    kind: PersonAction
    description: str
    version: str | None = None

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""
        parser.description = self.description
        add_product(parser)
        if self.version is not None:
            parser.add_argument(
                "version", metavar="VERSION", nargs="?", default="", help=self.version
            )
        parser.add_argument(
            "--reason", default="", metavar="TEXT",
            help="why; it is kept beside your user name in the operator's decision",
        )  # fmt: skip
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
        """Show the request, confirm it, send it and print its result."""
        seconds = seconds_of(args.timeout)
        with opened(args) as session:
            key = session.key(args.product)
            product = session.product(key)
            request = self.kind.request_of(product, getattr(args, "version", ""))
            code = stopped_before(args, key, request, "Nothing was requested.")
            if code is not None:
                return code
            value = request.value(token())
            note = request_note(session, value, args.reason) if args.reason else None
            _write(session, key, self.kind, self.kind.identity_of(product), request=(value, note))
            print_progress(f"► {self.kind.annotation}={value} is set")
            if not args.wait:
                outcome = WaitResult(REACHED, "requested, without waiting for the answer")
            elif why := self.kind.pending_reason_of(product):
                outcome = WaitResult(REACHED, why)
            else:
                outcome, product = wait(
                    session, key, lambda body: handling_result(body, self.kind, value), seconds,
                    progress=lambda text: print_progress(f"◎ {clean_text(text)}"),
                )  # fmt: skip
        return report(product, outcome, action=self.kind.verb, request=value, output=args.output)


class Shown(Protocol):
    """The text that a person confirms before a write: a sentence, and its details."""

    @property
    def sentence(self) -> str:
        """Return the sentence that describes the request."""

    @property
    def details(self) -> Sequence[str]:
        """Return the details, a line each."""


def stopped_before(
    args: argparse.Namespace, key: Key, request: Shown, declined: str, *, by: str = ""
) -> int | None:
    """Show the action and ask for confirmation; return the exit code if nothing is written, else None.

    Parameters
    ----------
    declined : the words after a no. by : in whose name it is, as the end of the sentence.
    """
    print_progress(clean_text(f"{key}: {request.sentence}{by}"))
    for line in request.details:
        print_progress(clean_text(f"  {line}"))
    if args.dry_run:
        return REACHED
    if not args.yes and not confirms(f"{request.sentence} of {key}?"):
        print_progress(declined)
        return FAILED
    return None


def written_reason(reason: str) -> str:
    """Return the --reason option if it is valid; raise otherwise.

    Raises
    ------
    InvalidInput
        It shows nothing, or is too long.
    """
    if is_invisible(reason):
        raise invalid("--reason", "is empty: write why, in a sentence")
    if len(reason) > MAX_REASON_LENGTH:
        text = f"has {len(reason)} characters: shorten it to {MAX_REASON_LENGTH}"
        raise invalid("--reason", text)
    return reason


def request_note(session: Session, value: str, reason: str) -> RequestNote:
    """Return the note of a request, in the name of the user of the kubeconfig.

    Raises
    ------
    InvalidInput
        The reason shows nothing, or is too long.
    """
    reason = written_reason(reason)
    return RequestNote.create(value, username(session.client), reason)


def token() -> str:
    """Return a unique token: the time in nanoseconds, as RFC 3339."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def handling_result(product: facts.Body, action: PersonAction, value: str) -> WaitResult:
    """Return whether the operator handled a request, and how."""
    if facts.section(product, "status", "lastHandled").get(action.handled_field) != value:
        trial = facts.section(product, "status", "candidate")
        step = facts.step_line(trial) if trial else "no candidate"
        return WaitResult(None, f"waits for the operator ({step})")
    decision = facts.section(product, "status", "decision")
    text = facts.decision_line(product) or "handled"
    is_refused = decision.get("type") == "Alert" and decision.get("reason") in REFUSALS
    return WaitResult(FAILED if is_refused else REACHED, text)


def confirms(question: str) -> bool:
    """Return whether the person says yes.

    Raises
    ------
    InvalidInput
        No person can be asked.
    """
    if not sys.stdin.isatty():
        raise invalid("--yes", "no terminal to ask on: add --yes")
    print_progress(clean_text(f"{question} [y/N]"))
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _write(
    session: Session,
    key: Key,
    action: PersonAction,
    identity: tuple[str, ...],
    *,
    request: tuple[str, RequestNote | None],
) -> None:
    """Set the annotation, on the object that has what was shown."""
    value, note = request
    annotations = {action.annotation: value, **({REQUEST_NOTE: note.annotation} if note else {})}
    body = {"metadata": {"annotations": annotations}}
    for _ in range(ATTEMPTS):
        product = session.product(key)
        if (now := action.identity_of(product)) != identity:
            confirmed, present_text = " ".join(identity) or "nothing", " ".join(now) or "nothing"
            raise Stale(
                f"{key} has changed since it was shown: {clean_text(confirmed)} then, {clean_text(present_text)} now; nothing was"
                f" written: run the command again, and decide about what is there"
            )
        version = product["metadata"].get("resourceVersion")
        try:
            session.client.patch(DATA_PRODUCTS, key, body, resource_version=version)
        except Conflict:
            continue
        except Forbidden as error:
            raise Refused(_refusal(str(error), action, key, product)) from error
        return
    raise Stale(f"{key} changes with every write: nothing was written, run the command again")


def _refusal(message: str, action: PersonAction, key: Key, product: facts.Body) -> str:
    text = refusal(message, "patch", DATA_PRODUCTS.qualified, key.namespace)
    if action.annotation in text:
        return text  # the admission policy's own words name who may
    managers = ", ".join(map(clean_text, facts.managers(product))) or "none is listed"
    return (
        f"{text}; who may {action.verb}: its managers in spec.team ({managers}), and holders of the"
        f" verb {action.verb}"
    )

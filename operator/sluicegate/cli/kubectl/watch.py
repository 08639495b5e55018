"""`sluicegate watch`: one product live, until Ctrl-C or until it is as `--until` says."""

import argparse
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from typing_extensions import override

from sluicegate.cli.kubectl.session import Session, add_product, opened, refusals
from sluicegate.cli.kubectl.status import awaited_version, promoted
from sluicegate.cli.kubectl.waiting import (
    FAILED,
    REACHED,
    TIMED_OUT,
    WaitResult,
    seconds_of,
)
from sluicegate.cli.printing.output import add_output
from sluicegate.cli.printing.terminal import cut, print_progress, width_of
from sluicegate.errors import SluicegateError
from sluicegate.kube.direct_client import DirectClient
from sluicegate.kube.errors import Forbidden, Gone, NotFound, Transient
from sluicegate.kube.resources import DATA_PRODUCTS, EVENTS, Key
from sluicegate.views import live
from sluicegate.views import product as facts
from sluicegate.views.plain_text import clean_text

GOALS: Final = ("promoted", "idle")
REDRAW_SECONDS: Final = 1.0
"""Seconds after which a terminal is drawn again, as ages move."""
PAUSE_SECONDS: Final = 1.0
"""Seconds between two watches, where the first ended."""
SHOWN_AFTER: Final = timedelta(minutes=1)
"""How long the screen has an outage of the API server that is over."""
EARLIER: Final = timedelta(minutes=1)
"""How long before the start an event may have been seen last that is still printed to a pipe."""
MAX_EVENTS: Final = 200
CLEAR: Final = "\x1b[H\x1b[J"
"""Sequence of a terminal: to its first line, and clear all below."""

Judge = Callable[[facts.Body], WaitResult]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_product(parser)
    parser.add_argument(
        "--until", choices=GOALS,
        help="end when the candidate is promoted (or spec.model, without one); or when neither a rollout"
        " nor a training is under way and no request waits",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", default="", help="how long to watch, e.g. 90s or 2h (default: without an end)"
    )
    add_output(parser, formats=("table", "json"))
    parser.epilog = (
        "A terminal is drawn again with each change; a pipe receives a line for each change, with"
        " -o json the whole object. Exit codes: 0 reached or timed out without --until, 1 failed,"
        " 2 wrong input, 3 timed out, 130 Ctrl-C."
    )


def run(args: argparse.Namespace) -> int:
    """Watch a product and its events."""
    seconds = seconds_of(args.timeout) if args.timeout else None
    with opened(args) as session:
        key = session.key(args.product)
        product = session.product(key)
        judge = _judge(product, args.until)
        screen = _screen(args.output)
        outcome = _follow(session, key, product, judge=judge, screen=screen, seconds=seconds)
    if outcome.message:
        print_progress(clean_text(outcome.message))
    return REACHED if outcome.code is None else outcome.code


def _judge(product: facts.Body, until: str | None) -> Judge:
    if until == "promoted":
        version = awaited_version(product)
        return lambda body: promoted(body, version)
    return idle if until == "idle" else lambda _: WaitResult(None, "")


def idle(product: facts.Body) -> WaitResult:
    """Return whether no rollout, training or request is in progress."""
    under_way = next(_under_way(product), "")
    if under_way:
        return WaitResult(None, under_way)
    stable = facts.section(product, "status", "stable").get("version")
    return WaitResult(REACHED, f"idle: {facts.state_of(product)}, stable {stable or 'none'}")


def _under_way(product: facts.Body) -> Iterator[str]:
    trial, status = facts.candidate(product), facts.section(product, "status")
    if not facts.is_observed(product):
        yield "the operator has not reconciled this spec yet"
    if trial and (trial.get("phase") != "Parked" or trial.get("retryTime")):
        yield f"candidate {facts.step_line(trial)}"
    if facts.section(status, "candidate").get("restoring"):
        yield "an earlier version is being restored"
    if facts.section(status, "retraining", "trigger"):
        yield "a training is under way"
    if facts.entries(status, "pendingRequests"):
        yield "a request waits"
    if facts.condition(product, "Reconciling").get("status") == "True":
        yield "the operator reconciles the product"


# ---- what comes ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Change:
    """A change of the product or an event; the last one has an error or is the deletion.

    Attributes
    ----------
    deletion : what happened to the product; empty while it exists.
    outage : since when the API server can't be reached, and its last error.
    """

    product: facts.Body | None = None
    event: facts.Body | None = None
    deletion: str = ""
    outage: live.Outage | None = None
    error: SluicegateError | None = None


def _follow(
    session: Session, key: Key, product: facts.Body, *, judge: Judge, screen: "_Shown", seconds: float | None
) -> WaitResult:  # fmt: skip
    """Show each change until the goal, the timeout, or the end of the product."""
    deadline = None if seconds is None else time.monotonic() + seconds
    change_queue: queue.SimpleQueue[_Change] = queue.SimpleQueue()
    watches = _Watches(session, key, threading.Event())
    for watched in (watches.products(product), watches.events(product)):
        threading.Thread(target=_pass_on, args=(watched, change_queue), daemon=True).start()
    try:
        return _shown_until(product, change_queue, judge=judge, screen=screen, deadline=deadline)
    finally:
        watches.ended.set()


def _shown_until(
    product: facts.Body, change_queue: "queue.SimpleQueue[_Change]", *, judge: Judge, screen: "_Shown",
    deadline: float | None,
) -> WaitResult:  # fmt: skip
    """Show changes until the goal, the deadline, or the end of the product."""
    events: dict[str, facts.Body] = {}
    outcome = judge(product)
    screen.draw(product, _in_order(events))
    while outcome.code is None:
        seconds_left = None if deadline is None else deadline - time.monotonic()
        if seconds_left is not None and seconds_left <= 0:
            text = f"timed out: {outcome.message}" if outcome.message else ""
            return WaitResult(TIMED_OUT if outcome.message else None, text)
        try:
            change = change_queue.get(timeout=min(REDRAW_SECONDS, seconds_left or REDRAW_SECONDS))
        except queue.Empty:
            screen.redraw(product, _in_order(events))
            continue
        if change.error is not None:
            raise change.error
        if change.deletion:
            return WaitResult(FAILED, change.deletion)
        if change.outage is not None:
            screen.interrupted(change.outage)
            screen.redraw(product, _in_order(events))
            continue
        if change.event is not None:
            events[str(change.event["metadata"].get("uid") or change.event["metadata"]["name"])] = change.event  # fmt: skip
            while len(events) > MAX_EVENTS:
                events.pop(next(iter(events)))
        if change.product is not None:
            product, outcome = change.product, judge(change.product)
            screen.resumed()
        screen.draw(product, _in_order(events))
    return outcome


def _in_order(events: dict[str, facts.Body]) -> list[facts.Body]:
    return sorted(events.values(), key=live.event_time)


def _pass_on(watched: Iterator[_Change], change_queue: "queue.SimpleQueue[_Change]") -> None:
    try:
        for change in watched:
            change_queue.put(change)
    except SluicegateError as error:
        change_queue.put(_Change(error=error))


class _Unread(SluicegateError):  # noqa: N818 - says what is the case
    """The API server doesn't return the product."""


@dataclass(frozen=True, slots=True)
class _Watches:
    """The watches of one product and of its events, until `ended` is set and the client is closed."""

    session: Session
    key: Key
    ended: threading.Event

    def products(self, product: facts.Body) -> Iterator[_Change]:
        """Yield each change of the product, which is read again when a watch begins again.

        A watch by name sends nothing of a product that was deleted before it began.
        """
        uid, interrupted = product["metadata"].get("uid"), datetime.now(UTC)
        while not self.ended.is_set():
            try:
                body = self._read()
                if body["metadata"].get("uid") != uid:
                    yield _Change(deletion=f"{self.key} was deleted, and created again")
                    return
                yield _Change(product=body)
                yield from self._watched_product()
            except NotFound:
                yield _Change(deletion=f"{self.key} was deleted")
                return
            except Gone:
                pass
            except _Unread as error:
                yield _Change(outage=live.Outage(interrupted, str(error)))
                self.ended.wait(PAUSE_SECONDS)
                continue
            except Transient:
                pass
            interrupted = datetime.now(UTC)
            self.ended.wait(PAUSE_SECONDS)

    def _read(self) -> facts.Body:
        """Read the product with a separate client, as clients aren't thread-safe."""
        try:
            with (
                refusals("get", DATA_PRODUCTS, self.key.namespace),
                DirectClient(self.session.access) as client,
            ):
                return client.get(DATA_PRODUCTS, self.key)
        except Transient as error:
            raise _Unread(str(error)) from error

    def _watched_product(self) -> Iterator[_Change]:
        with refusals("watch", DATA_PRODUCTS, self.key.namespace):
            for kind, body in self.session.client.watch(
                DATA_PRODUCTS, namespace=self.key.namespace, name=self.key.name
            ):
                if kind == "DELETED":
                    raise NotFound(f"{self.key} was deleted")
                yield _Change(product=body)

    def events(self, product: facts.Body) -> Iterator[_Change]:
        """Yield the events of the product; none if the user may not read events."""
        uid, kind_of_product = product["metadata"].get("uid"), DATA_PRODUCTS.kind
        fields = f"regarding.kind={kind_of_product},regarding.name={self.key.name}"
        try:
            for kind, body in self._endless_events(fields):
                regarded = facts.section(body, "regarding")
                is_own = (regarded.get("kind"), regarded.get("name")) == (
                    kind_of_product,
                    self.key.name,
                )
                if kind != "DELETED" and is_own and (not uid or regarded.get("uid", uid) == uid):
                    yield _Change(event=body)
        except Forbidden:
            print_progress("events are not shown: the verb watch on events.events.k8s.io is needed")

    def _endless_events(self, fields: str) -> Iterator[tuple[str, facts.Body]]:
        """Yield the changes of a watch; restart it when it ends."""
        while not self.ended.is_set():
            with suppress(Gone, Transient):
                yield from self.session.client.watch(
                    EVENTS, namespace=self.key.namespace, fields=fields
                )
            self.ended.wait(PAUSE_SECONDS)


# ---- what is shown -------------------------------------------------------------------------------
@dataclass(slots=True)
class _Shown:
    """Output that is appended: a line for each change, or a whole object in JSON."""

    as_json: bool = False
    _start: datetime = field(default_factory=lambda: datetime.now(UTC))
    _before: dict[str, str] = field(default_factory=dict)
    _printed: set[str] = field(default_factory=set)
    _version: str = ""
    _outage: live.Outage | None = None

    def interrupted(self, outage: live.Outage) -> None:
        """Print once since when the API server can't be reached."""
        if self._outage is None:
            print_progress(clean_text(live.outage_line(outage, datetime.now(UTC))))
        self._outage = outage

    def resumed(self) -> None:
        """Print that the API server is reached again, after an outage."""
        if self._outage is not None:
            now = datetime.now(UTC)
            print_progress(live.outage_line(replace(self._outage, end=now), now))
        self._outage = None

    def draw(self, product: facts.Body, events: list[facts.Body]) -> None:
        """Print the changes since the last call."""
        if self.as_json:
            self._print_object(product)
            return
        now = datetime.now(UTC)
        lines = live.change_lines(product, now)
        for subject, line in lines.items():
            if self._before.get(subject) != line:
                _append(f"{now:%H:%M:%S} {line}")
        self._before = lines
        for event in events:
            line = live.event_line(event)
            is_recent = facts.parse_time(live.event_time(event)) >= self._start - EARLIER
            if is_recent and line not in self._printed:
                self._printed.add(line)
                _append(f"{now:%H:%M:%S} event {line}")

    def redraw(self, product: facts.Body, events: list[facts.Body]) -> None:
        """Draw again after time has passed without a change."""

    def _print_object(self, product: facts.Body) -> None:
        version = str(product["metadata"].get("resourceVersion", ""))
        if version and version == self._version:
            return
        self._version = version
        product["metadata"].pop("managedFields", None)
        body = {"apiVersion": DATA_PRODUCTS.api_version, "kind": DATA_PRODUCTS.kind, **product}
        _append(json.dumps(body, separators=(",", ":")))


@dataclass(slots=True)
class _Terminal(_Shown):
    """A terminal that is drawn again as a whole."""

    @override
    def interrupted(self, outage: live.Outage) -> None:
        """Show the outage on the screen."""
        self._outage = outage

    @override
    def resumed(self) -> None:
        """Show for a while that the outage has ended."""
        if self._outage is not None and self._outage.end is None:
            self._outage = replace(self._outage, end=datetime.now(UTC))

    @override
    def draw(self, product: facts.Body, events: list[facts.Body]) -> None:
        """Draw the screen, within the width and the height of the terminal."""
        now, width = datetime.now(UTC), width_of(sys.stdout)
        if self._outage and self._outage.end and now - self._outage.end > SHOWN_AFTER:
            self._outage = None
        lines = live.screen_lines(product, events, now, outage=self._outage, width=width)
        try:
            height = os.get_terminal_size(sys.stdout.fileno()).lines
        except (OSError, ValueError):
            height = len(lines) + 1
        screen_lines = [
            cut(clean_text(line), width) if width else clean_text(line) for line in lines
        ]
        sys.stdout.write(CLEAR + "\n".join(screen_lines[: height - 1]) + "\n")
        sys.stdout.flush()

    @override
    def redraw(self, product: facts.Body, events: list[facts.Body]) -> None:
        """Draw the screen again, as its ages have changed."""
        self.draw(product, events)


def _screen(output: str) -> _Shown:
    if output == "json":
        return _Shown(as_json=True)
    draws_screen = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return _Terminal() if draws_screen else _Shown()


def _append(line: str) -> None:
    sys.stdout.write(f"{clean_text(line)}\n")
    sys.stdout.flush()

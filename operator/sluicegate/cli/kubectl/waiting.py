"""Waits by a watch until a product has the state that a command requires; the exit code is the outcome."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sluicegate.cli.kubectl.operator_lease import absence_of_operator
from sluicegate.cli.kubectl.session import refusals
from sluicegate.errors import invalid
from sluicegate.kube.errors import Gone, NotFound, Transient
from sluicegate.kube.resources import DATA_PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sluicegate.cli.kubectl.session import Session
    from sluicegate.kube.resources import Key

Body = dict[str, Any]

REACHED, FAILED, TIMED_OUT = 0, 1, 3
"""Exit codes; 2 is wrong input, which is an InvalidInput."""
CODES: Final = "Exit codes: 0 reached, 1 failed, 2 wrong input, 3 timed out."
DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
PAUSE: Final = 1.0
"""Seconds between two watches, where the first ended at once."""


@dataclass(frozen=True, slots=True)
class WaitResult:
    """The outcome of a wait, or its present state.

    Attributes
    ----------
    code : REACHED, FAILED or TIMED_OUT; None while the wait continues.
    """

    code: int | None
    message: str


def seconds_of(text: str) -> float:
    """Return the seconds of a duration: 90, 90s, 5m, 1h30m.

    Raises
    ------
    InvalidInput
        It is written in another way.
    """
    if text.isdecimal():
        return float(text)
    match = DURATION.fullmatch(text)
    if not text or match is None:
        problem = f'is "{text}": write seconds or a duration, e.g. 90s, 5m or 1h30m'
        raise invalid("--timeout", problem)
    hours, minutes, seconds = (int(digits or 0) for digits in match.groups())
    return float(3600 * hours + 60 * minutes + seconds)


def wait(
    session: Session, key: Key, judge: Callable[[Body], WaitResult], seconds: float,
    *, progress: Callable[[str], None],
) -> tuple[WaitResult, Body]:  # fmt: skip
    """Watch a product until `judge` returns a code; return the code and the product at that time.

    Progress is each message of `judge` that is new. With 0 seconds it is judged once. A wait that
    times out names an operator that doesn't lead.
    """
    deadline = time.monotonic() + seconds
    product = session.product(key)
    uid, outcome, last_text, again = product["metadata"].get("uid"), judge(product), "", False
    while outcome.code is None and (seconds_left := deadline - time.monotonic()) > 0:
        start_time = time.monotonic()
        try:
            with refusals("watch", DATA_PRODUCTS, key.namespace):
                for kind, body in _changes(session, key, seconds_left, again=again):
                    if kind == "DELETED" or body["metadata"].get("uid") != uid:
                        return WaitResult(FAILED, f"{key} was deleted"), product
                    product, outcome = body, judge(body)
                    if outcome.code is not None:
                        return outcome, product
                    if outcome.message != last_text:
                        last_text = outcome.message
                        progress(last_text)
        except (Gone, Transient) as error:
            progress(f"the watch ended and begins again: {error}")
        again = True
        if time.monotonic() - start_time < PAUSE:
            time.sleep(min(PAUSE, max(0.0, deadline - time.monotonic())))
    if outcome.code is None:
        absence = absence_of_operator(session.client, product)
        message = f"timed out: {outcome.message}" + (f"; {absence}" if absence else "")
        return WaitResult(TIMED_OUT, message), product
    return outcome, product


def _changes(
    session: Session, key: Key, seconds: float, *, again: bool
) -> Iterator[tuple[str, Body]]:
    """Yield each change of a product; read it again when a watch restarts.

    A watch by name sends nothing of a product that was deleted before it began.
    """
    if again:
        try:
            yield "MODIFIED", session.client.get(DATA_PRODUCTS, key)
        except NotFound:
            yield "DELETED", {}
            return
    yield from session.client.watch(
        DATA_PRODUCTS, namespace=key.namespace, name=key.name, seconds=seconds
    )

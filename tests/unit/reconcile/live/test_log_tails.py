"""The end of a log as people read it: its last exception first, and no more than a few lines of it."""

from __future__ import annotations

import pytest

from sluicegate.reconcile.live.log_tails import (
    EXCEPTION_CHARACTERS,
    TAIL_CHARACTERS,
    with_exception_first,
)
from sluicegate.reconcile.live.pods import pod_state
from sluicegate.reconcile.report.hints import way_out

FRAMES = '  File "service.py", line 7, in predict\n    call()\n' * 30
CAUSE = "aiohttp.ClientConnectorDNSError: Cannot connect to host rooter.desk.svc:3000 ssl:default"
LOG = (
    f"Traceback (most recent call last):\n{FRAMES}OSError: no name\n\nTraceback (most recent call"
    f" last):\n{FRAMES}{CAUSE}\n\nERROR:    Application startup failed. Exiting.\n"
)


def failing(message):
    """Return a pod whose container ended with this message."""
    ended = {"exitCode": 3, "reason": "Error", "message": message}
    container = {
        "name": "bento",
        "ready": False,
        "restartCount": 5,
        "lastState": {"terminated": ended},
    }
    meta = {"namespace": "desk", "name": "p", "labels": {}, "uid": "u", "resourceVersion": "1"}
    return pod_state({"metadata": meta, "spec": {}, "status": {"containerStatuses": [container]}})


def test_the_message_of_a_failed_pod_begins_with_its_last_exception_and_is_bounded():
    problem = failing(LOG).problem
    assert problem.startswith(
        f"container bento ended with 3 (Error): {CAUSE}; the log ends with: …"
    )
    assert problem.endswith("Application startup failed. Exiting.")
    assert len(problem) < len(CAUSE) + TAIL_CHARACTERS + 100


def test_a_short_log_and_a_log_without_an_exception_stay_as_they_are():
    assert with_exception_first("ValueError: 3 columns") == "ValueError: 3 columns"
    lines = "INFO: no rows\n" * 100
    assert with_exception_first(lines) == lines


@pytest.mark.parametrize(
    "exception",
    [
        "requests.exceptions.ConnectTimeout: no route",
        "grpc._channel._InactiveRpcError: <...>",
        "KeyboardInterrupt",
    ],
)
def test_only_the_exception_of_the_last_traceback_comes_first(exception):
    log = (
        f"ValueError: row 3 skipped\n{LOG}Traceback (most recent call last):\n{FRAMES}{exception}\n"
    )
    assert with_exception_first(log).startswith(f"{exception}; the log ends with: …")


def test_a_line_that_resembles_an_exception_outside_of_a_traceback_does_not_come_first():
    log = "ValueError: row 3 skipped\n" + "INFO: a row\n" * 100 + "Killed by watchdog"
    assert with_exception_first(log) == log


def test_a_long_exception_is_cut_at_its_end():
    text = with_exception_first(f"{FRAMES}sqlalchemy.exc.DataError: {'q' * 5000}")
    assert text.startswith("sqlalchemy.exc.DataError: qqq")
    assert len(text) < EXCEPTION_CHARACTERS + TAIL_CHARACTERS + 100


def test_an_upstream_that_does_not_resolve_is_named_with_the_way_out():
    text = way_out(failing(LOG))
    assert (
        "the host of rooter.desk.svc:3000 doesn't resolve: correct the name, or if it is the url of"
        " bentoml.depends, apply the upstream" in text
    )

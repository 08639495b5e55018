"""The live screen of a product: which lines it has, and what a pipe gets a line for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sluicegate.views.live import (
    Outage,
    bar_text,
    change_lines,
    event_line,
    remaining_seconds,
    screen_lines,
)
from tests.support.samples.product_examples import example, full_status

NOW = datetime(2026, 1, 2, 9, 30, tzinfo=UTC)
TRIAL = {
    "version": "v2", "source": "Spec", "phase": "Stepping", "weight": 25, "target": 50,
    "startTime": "2026-01-02T09:00:00Z", "firstTrafficTime": "2026-01-02T09:10:00Z", "expectedSeconds": 3600,
    "iteration": {"hypothesis": "margins raise conversion"},
    "evidence": [{
        "slo": "accuracy", "required": True, "promote": "1.5", "promoteAt": "3.0", "rollBack": "-0.4",
        "rollBackAt": "4.0", "candidateBad": 3, "candidateTotal": 40, "stableBad": 90, "stableTotal": 900,
    }],
}  # fmt: skip


def product(**status: Any) -> dict[str, Any]:
    body = example() | {"status": full_status() | status}
    body["metadata"] = {"namespace": "catalog", "name": "pricing"}
    return body


@pytest.mark.parametrize(("share", "full"), [(0.0, 0), (0.5, 12), (1.0, 24), (7.0, 24), (-2.0, 0)])
def test_a_progress_bar_is_filled_by_its_share_and_never_longer(share, full):
    assert bar_text(share) == "█" * full + "·" * (24 - full)


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        ({}, 2400),
        ({"suspendedSeconds": 600}, 3000),
        ({"firstTrafficTime": "2026-01-01T00:00:00Z"}, 0),
        ({"firstTrafficTime": None}, None),
        ({"expectedSeconds": None}, None),
        ({"phase": "AwaitingApproval"}, None),
    ],
)
def test_the_remaining_time_counts_from_the_first_traffic_without_suspensions(change, seconds):
    assert remaining_seconds(TRIAL | change, NOW) == seconds


def test_the_live_screen_has_weights_evidence_phase_and_the_remaining_time():
    event = {"reason": "CanaryWeightIncreased", "note": "v2 takes 25 %", "eventTime": "2026-01-02T09:12:13.000000Z"}  # fmt: skip
    lines = screen_lines(product(candidate=TRIAL), [event], NOW)
    shown = "\n".join(lines)

    assert lines[0] == "catalog/pricing  Degraded  09:30:00 UTC"
    assert f"{bar_text(0.25)}  25 %  candidate v2, stepping, for 30m" in shown
    assert f"{bar_text(0.75)}  75 %  stable v1" in shown
    assert "tried: margins raise conversion (pushed)" in shown
    assert "50 % are decided, and apply once the pods for them are ready" in shown
    assert "an equal version takes about 1 h of traffic: about 40 min more" in shown
    assert f"accuracy  for     {bar_text(0.5)} 1.5 of 3.0" in shown
    assert f"against {bar_text(0)} -0.4 of 4.0" in shown
    assert "accuracy: 92.5 % (n=40) of the candidate, 90.0 % (n=900) of stable" in shown
    assert "09:12:13 CanaryWeightIncreased: v2 takes 25 %" in shown
    assert "Evidence, refreshed " in shown


def test_the_live_screen_of_a_rollback_has_the_share_that_is_returned_alone():
    trial = TRIAL | {"phase": "RollingBack", "weight": 67, "target": 100, "returning": 33}
    shown = "\n".join(screen_lines(product(candidate=trial), [], NOW))
    assert f"{bar_text(0.33)}  33 %  candidate v2" in shown
    assert "are decided" not in shown


def test_the_live_screen_works_before_the_first_version():
    body = {"metadata": {"namespace": "catalog", "name": "pricing"}, "spec": {}}
    assert screen_lines(body, [], NOW) == ["catalog/pricing  Unknown  09:30:00 UTC", "", "  no version serves yet"]  # fmt: skip


def test_elapsed_time_alone_prints_no_line_to_a_pipe():
    later = datetime(2026, 1, 2, 11, 30, tzinfo=UTC)
    body = product(candidate=TRIAL)
    assert change_lines(body, NOW) == change_lines(body, later)
    lines_at_half = change_lines(product(candidate=TRIAL | {"weight": 50}), NOW)
    differing = {
        subject
        for subject, line in lines_at_half.items()
        if change_lines(body, NOW)[subject] != line
    }
    assert differing == {"candidate"}


def test_a_repeated_event_has_the_time_of_its_last_occurrence():
    event = {"reason": "R", "note": "n", "eventTime": "2026-01-02T09:00:00Z", "series": {"lastObservedTime": "2026-01-02T09:20:00Z"}}  # fmt: skip
    assert event_line(event) == "09:20:00 R: n"


def test_the_live_screen_shows_the_begin_and_end_of_an_api_server_outage():
    outage = Outage(datetime(2026, 1, 2, 9, 28, tzinfo=UTC), "connection refused")
    lines = screen_lines(product(), [], NOW, outage=outage)
    assert lines[1] == (
        "The API server can't be reached since 09:28:00 UTC, for 2 min; the product is as of then:"
        " connection refused"
    )
    over = Outage(outage.start, end=datetime(2026, 1, 2, 9, 28, 8, tzinfo=UTC))
    lines = screen_lines(product(), [], NOW, outage=over)
    assert lines[1] == "The API server is reached again, after 8 s from 09:28:00 UTC on"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_narrow_terminal_shortens_bars_before_text(width):
    trial = TRIAL | {"phase": "AwaitingApproval"}
    lines = screen_lines(product(candidate=trial), [], NOW, width=width)
    drawn = [line for line in lines if "%" in line or "█" in line]
    assert max(map(len, drawn)) <= width
    text = " ".join(" ".join(lines).split())
    assert "25 % candidate v2, awaiting approval, for 30m" in text
    assert "1.5 of 3.0" in text
    bars = {len(word) for line in drawn for word in line.split() if set(word) <= set("█·")}
    assert max(bars, default=0) == {40: 8, 60: 24, 80: 24, 200: 24}[width]

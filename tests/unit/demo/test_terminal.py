"""The timeline: columns that line up, long texts that stay in theirs, one line that lives."""

from __future__ import annotations

import io

import pytest

from demo.terminal import Row, Terminal, clock, compared


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (61.9, "1:01"), (3600, "60:00")])
def test_demo_times_are_printed_as_minutes_and_seconds(seconds, shown):
    assert clock(seconds) == shown


def test_an_accuracy_is_printed_beside_its_baseline():
    assert compared(0.772, 0.918) == "77.2 % / 91.8 %"
    assert compared(None, 0.918) == "– / 91.8 %"
    assert compared(None, None) == "–"


def test_a_long_text_is_wrapped_within_its_column(wide):
    out = io.StringIO()
    Terminal(out).row(Row(65, "pricing", "Degraded", "why " * 40, 0.77, 0.92))
    first, *rest = out.getvalue().splitlines()
    assert first.startswith("1:05    pricing          Degraded   77.0 % / 92.0 %   why")
    assert rest
    assert all(line.index("why") == first.index("why") for line in rest)
    assert all(len(line) <= 100 for line in (first, *rest))


def test_the_live_status_line_is_overwritten_by_the_next_output(wide):
    out = Screen()
    terminal = Terminal(out)
    terminal.live("pricing trains")
    terminal.say("done")
    assert out.getvalue() == "\r\x1b[Kpricing trains\r\x1b[Kdone\n"


def test_without_a_terminal_a_status_line_is_printed_only_after_a_pause(wide):
    out = io.StringIO()
    terminal = Terminal(out)
    terminal.say("begun")
    terminal.live("pricing trains")
    assert out.getvalue() == "begun\n"

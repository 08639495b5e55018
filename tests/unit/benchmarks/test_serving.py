"""The figures of a served bento: medians of rounds, and their ratios."""

from __future__ import annotations

import pytest

from benchmarks.serving import BASE, BODIES, LAUNCHER, Figures, at, ratios, row


def figures(milliseconds):
    """Return a round of hundred requests of each kind, of which one takes ten times as long."""
    latencies = [milliseconds / 1000] * 99 + [milliseconds / 100]
    return Figures(
        ready_seconds=milliseconds,
        resident_bytes=2**20 * milliseconds,
        latencies=dict.fromkeys(BODIES, latencies),
        seconds=dict.fromkeys(BODIES, sum(latencies)),
        cpu_seconds=dict.fromkeys(BODIES, sum(latencies) / 2),
    )


def test_a_row_has_the_median_of_its_rounds():
    values = row([figures(9), figures(1), figures(2)])
    assert (values["small_p50_ms"], values["small_p99_ms"]) == (2.0, 20.0)
    assert values["small_per_second"] == pytest.approx(100 / 0.218, abs=0.01)
    assert values["small_cpu_ms"] == 1.09
    assert values["resident_mib"] == 2.0


def test_a_percentile_is_a_latency_that_occurred():
    assert at([3.0, 1.0, 2.0], 50) == 2.0
    assert at([3.0, 1.0, 2.0], 99.9) == 3.0


def test_options_of_the_launcher_are_compared_with_the_launcher():
    rows = {BASE: row([figures(4)]), LAUNCHER: row([figures(2)]), "tokens": row([figures(3)])}
    compared = ratios(rows)
    assert compared[LAUNCHER]["large_p50_ms"] == 0.5
    assert compared["tokens"]["large_p50_ms"] == 1.5
    assert BASE not in compared

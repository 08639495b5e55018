"""Lines over kept ledgers: their points are the ledgers' events, and their charts have what a reader needs."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from sluicegate.reporting.evolution_lines import MAX_POINTS, Mark, lines_of, with_present
from sluicegate.reporting.facts import facts_of
from sluicegate.reporting.line_chart import description, line_chart, small_line
from sluicegate.reporting.text import markdown
from tests.support.decisions.reviewed import sealed_month

YEAR = [sealed_month(number, wrong=0.08 + 0.005 * number) for number in range(1, 13)]


def line(ledgers, name="accuracy", **given):
    return next(one for one in lines_of(ledgers, **given) if one.name == name)


def events(ledgers, name="accuracy"):
    return sum(s.total for ledger in ledgers for day in ledger.status.days for s in day.slos if s.name == name)  # fmt: skip


@pytest.mark.parametrize(
    ("months", "step", "points"),
    [(1, 1, 31), (3, 1, 90), (4, 7, 18), (12, 7, 53)],
    ids=["a month by day", "a quarter by day", "more by week", "a year by week"],
)
def test_an_evolution_line_has_the_events_of_all_kept_ledgers_in_few_points(months, step, points):
    drawn = line(YEAR[:months])
    assert (drawn.step, len(drawn.points)) == (step, points)
    assert len(drawn.points) <= MAX_POINTS
    assert sum(point.total for point in drawn.points) == events(YEAR[:months])
    assert (drawn.points[0].first, drawn.points[-1].last) == (
        YEAR[0].status.days[0].date, YEAR[months - 1].status.days[-1].date,
    )  # fmt: skip


def test_a_day_in_two_ledgers_counts_once_with_the_later_values():
    again = YEAR[0].replace(status=YEAR[0].status.replace(days=YEAR[0].status.days[-1:]))
    assert sum(p.total for p in line([YEAR[0], again]).points) == events(YEAR[:1])


def test_an_evolution_line_by_period_has_one_point_per_ledger():
    drawn = line(YEAR, by_period=True)
    assert [point.total for point in drawn.points] == [events([one]) for one in YEAR]


def test_an_evolution_line_has_the_objective_of_each_period_and_the_first_acceptance():
    terms = tuple(slo.replace(objective="0.8") for slo in YEAR[1].status.slos)
    tighter = YEAR[1].replace(status=YEAR[1].status.replace(slos=terms))
    drawn = line([YEAR[0], tighter])
    assert {point.objective for point in drawn.points} == {88.0, 80.0}
    assert drawn.initial == pytest.approx((100 * (1 - 865 / 10500), 10500))
    assert any(point.outside for point in line(YEAR).points)


def test_response_time_points_are_estimates_beside_the_threshold():
    drawn = line(YEAR[:1], "response times")
    assert drawn.series == ("p50", "p95")
    assert drawn.limit == 250
    for point in drawn.points:
        assert point.values == pytest.approx((66.7, 250), rel=0.01)


def test_response_times_whose_p95_is_beyond_the_last_bound_are_drawn_by_their_median():
    ledger = sealed_month(11, wrong=0.08)
    slow = {"0.05": 400, "0.25": 900, "+Inf": 1000}
    days = tuple(day.replace(responses=slow) for day in ledger.status.days)
    line = lines_of([ledger.replace(status=ledger.status.replace(days=days))])[-1]
    assert {point.values[1] for point in line.points} == {None}
    assert "p95: from – to –" in description(line)
    assert 'class="chart"' in line_chart(line, "slow")


@pytest.mark.parametrize("near", [(45.0, 45.2), (45.0, 45.0), (1.0, 1.1)])
def test_the_labels_of_series_whose_last_values_are_near_do_not_overlap(near):
    drawn = line(YEAR[:1], "response times")
    points = (*drawn.points[:-1], replace(drawn.points[-1], values=near))
    labels = re.findall(
        r'class="end" x="[\d.]+" y="([\d.]+)"', line_chart(replace(drawn, points=points), "a")
    )
    upper, lower = sorted(map(float, labels))
    assert lower - upper >= 12


def test_versions_retrainings_and_incidents_are_marked_and_rollout_steps_are_not():
    decision = YEAR[0].status.decisions[0]
    more = (
        decision.replace(type="Alert", reason="CommonCause", message="3 of 4 turned bad"),
        decision.replace(type="Advance", reason="CanaryNotWorse"),
    )
    ledger = YEAR[0].replace(
        status=YEAR[0].status.replace(decisions=(*YEAR[0].status.decisions, *more))
    )
    assert [(mark.date, mark.kind, mark.label) for mark in line([ledger]).marks] == [
        ("2026-01-10", "Alert", "CommonCause"),
        ("2026-01-10", "Retrain", "ModelDecay"),
        ("2026-01-11", "Version", "v14"),
    ]


def test_the_last_decision_is_a_separate_mark_only_if_newer_than_the_ledgers():
    drawn = line(YEAR[:1])
    assert with_present(drawn, "2026-01-31", 0.9, 44) is drawn
    *_, last = with_present(drawn, "2026-02-01", 0.9, 44).points
    assert (last.first, last.values, last.total, last.present) == ("2026-02-01", (90.0,), 44, True)


def test_a_chart_has_dates_values_units_the_objective_the_initial_value_and_the_versions():
    svg = line_chart(line(YEAR), "a")
    assert 'role="img" aria-labelledby="a-t a-d"' in svg
    assert '<title id="a-t">accuracy over time, in %</title>' in svg
    for text in (
        "Jan 2026",
        "Dec 2026",
        ">%<",
        "objective 88.0 %",
        "initial 91.8 %",
        ">v14<",
        ">90.0<",
    ):
        assert text in svg, text
    assert svg.count('class="outside"') == sum(point.outside for point in line(YEAR).points)
    assert "from 90.8 % to 86.2 %" in description(line(YEAR))
    assert ">ms<" in line_chart(line(YEAR, "response times"), "b")


def test_a_chart_stays_within_its_box_and_breaks_at_days_without_events():
    days = list(YEAR[0].status.days)
    days[4] = days[4].replace(slos=(), responses={})
    ledger = YEAR[0].replace(status=YEAR[0].status.replace(days=tuple(days)))
    svg = line_chart(line([ledger]), "a")
    assert svg.count("<polyline") == 2
    unread = ledger.replace(status=ledger.status.replace(days=(*days[:4], *days[5:])))
    assert line_chart(line([unread]), "a").count("<polyline") == 2, "a day that could not be read"
    for x, y in re.findall(r"([\d.]+),([\d.]+)", " ".join(re.findall(r'points="([^"]*)"', svg))):
        assert 40 <= float(x) <= 328
        assert 30 <= float(y) <= 143


@pytest.mark.parametrize("bad", [0, 5], ids=["perfect", "constant"])
def test_a_chart_draws_a_single_point_and_a_constant_line(bad):
    slos = tuple(slo.replace(bad=bad, total=100, markets={}) for slo in YEAR[0].status.days[0].slos)
    day = YEAR[0].status.days[0].replace(slos=slos)
    ledger = YEAR[0].replace(status=YEAR[0].status.replace(days=(day,)))
    assert line_chart(line([ledger], "availability"), "a").count("<circle") == 1
    assert "nan" not in line_chart(line([ledger], "availability"), "a")


def test_texts_of_users_are_escaped_in_a_chart():
    poison = "</title><script>x()</script>\"'>"
    drawn = line(YEAR[:1])
    marks = (
        Mark("2026-01-05", "Version", poison, poison),
        Mark("2026-01-06", "Alert", poison, poison),
    )
    svg = line_chart(type(drawn)(poison, "%", (poison,), drawn.points, marks, 1), "a")
    assert "<script" not in svg
    assert svg.count("</title>") == 3


def test_a_sparkline_marks_days_outside_the_objective_and_omits_days_without_events():
    svg = small_line([0.99, None, 0.8], 0.9, "3 days, 1 outside")
    assert svg.count('class="outside"') == 1
    assert 'aria-label="3 days, 1 outside"' in svg
    assert small_line([None], 0.9, "") == ""
    assert "<circle" in small_line([1.0], None, "")


def test_a_report_has_the_evolution_over_all_kept_periods():
    report = facts_of(YEAR[2], YEAR[1], YEAR[:3])
    assert [point.total for point in report.periods[2].points] == [
        events([one]) for one in YEAR[:3]
    ]
    text = markdown([report])
    assert "## Evolution over 3 periods" in text
    assert "| 2026-01-01 to 2026-01-31 | " in text
    assert "At the first acceptance: accuracy 91.8 %." in text
    assert not facts_of(YEAR[0], None).evolution

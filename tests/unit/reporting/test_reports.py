"""What a report says of a month, in each format; and what it answers to a question that is wrong."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema
import pytest
import yaml
from markdown_it import MarkdownIt

import sluicegate.cli
from sluicegate.__main__ import main
from sluicegate.cli.reviews.report import draw_report, readable
from sluicegate.reporting.facts import facts_of
from sluicegate.reporting.page import page
from sluicegate.reporting.response_times import quantile_of, quantiles_of_sum
from sluicegate.reporting.text import _name, as_csv, documents, markdown
from sluicegate.reporting.words import (
    budget_text,
    change_text,
    comparison_text,
    missed_time_texts,
    move_text,
    period_text,
    portfolio_sentence,
    report_sentence,
)
from sluicegate.reviews.store import read_review
from sluicegate.stats.evolution import PeriodChange
from sluicegate.views.spreadsheet import csv_text, escape_cell
from tests.support.decisions.reviewed import document_of, month, sealed_month

CALM, WORSE = sealed_month(10, wrong=0.08), sealed_month(11, wrong=0.12, austria=0.4)
FORMATS = ("html", "markdown", "json", "csv")


def slo(facts, name):
    return next(one for one in facts.slos if one.name == name)


def test_each_reported_change_has_its_interval():
    facts = facts_of(WORSE, CALM)
    accuracy = slo(facts, "accuracy")
    assert accuracy.against_before.change is PeriodChange.WORSE
    assert re.fullmatch(
        r"worse by [\d.]+ points \[[\d.]+, [\d.]+\]", change_text(accuracy.against_before)
    )
    assert accuracy.against_original.change is PeriodChange.WORSE
    availability = slo(facts, "availability")
    assert availability.against_before.change is PeriodChange.NO_EVIDENCE
    assert "no evidence of a change" in change_text(availability.against_before)
    assert comparison_text(availability.against_original, availability.original) == "–"
    assert re.match(
        r"Accuracy missed its objective \([\d.]+ % of 88\.0 %\) and got worse by [\d.]+ points \[[\d.]+, [\d.]+\]\. ",
        report_sentence(facts),
    )
    assert "1 retraining (model decay) and 1 promotion" in report_sentence(facts)


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (0, "No day of this period is read yet, so its service levels are not known. "),
        (
            14,
            "In the 14 of 30 days that are read, no objective was missed, and no change is proved. ",
        ),
    ],
)
def test_an_open_report_names_unread_days_as_unknown(days, says):
    document = month(11, wrong=0.08)
    document["status"]["days"] = document["status"]["days"][:days]
    facts = facts_of(read_review(document), None)
    assert report_sentence(facts).startswith(says)
    (text,) = documents([facts])
    assert text["sentence"] == report_sentence(facts)
    assert ("No day of this period is read yet." in markdown([facts])) == (days == 0)
    assert "had no events" not in markdown([facts])


def test_a_sealed_report_without_events_does_not_claim_that_objectives_were_met():
    document = month(11, wrong=0.08)
    for day in document["status"]["days"]:
        day["slos"] = [slo | {"bad": 0, "total": 0, "markets": {}} for slo in day["slos"]]
    document["status"]["sealTime"] = "2026-12-04T00:00:00Z"
    facts = facts_of(read_review(document), None)
    assert report_sentence(facts).startswith(
        "No event of any SLO was counted, so the service levels"
    )
    assert "had no events: check that its indicator is counted" in markdown([facts])


@pytest.mark.parametrize("form", [markdown, lambda reports: page(reports, "Report")])
def test_the_report_of_a_ledger_that_a_changed_cycle_ended_names_the_change_and_no_later_day(form):
    document = month(11, wrong=0.08)
    status = document["status"]
    status |= {
        "days": status["days"][:2],
        "sealReason": "CycleChanged",
        "sealTime": "2026-11-03T20:00:00Z",
    }
    report = form([facts_of(read_review(document), None)])
    assert "The ledger ended on 2026-11-03: the cycle in spec.review was changed." in report
    assert "could not be read" not in report


def fallen_in_austria():
    """Return a promoted version with which accuracy fell in one market alone."""
    return {
        "version": "v15", "outcome": "Promoted", "reason": "CanaryNotWorse",
        "endTime": "2026-10-20T09:00:00Z",
        "slos": [{
            "name": "accuracy", "indicator": "outcomes", "dispersion": "1",
            "candidate": {"bad": 300, "total": 2000}, "stable": {"bad": 300, "total": 2000},
            "markets": {"AT": [200, 1000, 100, 1000], "FR": [100, 1000, 200, 1000]},
        }],
    }  # fmt: skip


def test_a_report_on_several_products_has_one_summary_with_the_largest_change_of_each():
    moved, calm = facts_of(WORSE, CALM), facts_of(CALM, None)
    assert re.fullmatch(
        r"accuracy worse by [\d.]+ points \[[\d.]+, [\d.]+\] against the period before",
        move_text(moved.move, read_days=moved.read_days),
    )
    better = facts_of(CALM, WORSE)
    assert move_text(better.move, read_days=better.read_days).startswith("accuracy better by ")
    assert move_text(None, read_days=0) == "not known yet"
    assert moved.worst > calm.worst == better.worst == 0
    told = markdown([moved, calm])
    assert told.startswith("2 products: 1 got worse, 1 missed an objective. Reviews that wait for")
    fell = document_of(CALM)
    fell["status"]["missedMarkets"] = [
        {"slo": "accuracy", "market": "AT", "startTime": "2026-10-05T00:00:00Z"}
    ]
    fell["status"]["candidates"] = [fallen_in_austria()]
    reports = [moved, facts_of(read_review(fell), None)]
    assert portfolio_sentence(reports).startswith(
        "2 products: 1 got worse and 1 more in a market, 1 missed an objective and 1 more in a market."
    )
    assert told.index("| pricing/pricing | accuracy worse by") < told.index(
        "no evidence of a change"
    )
    assert "waits for a signature as DataProductManager, due on 2026-12-11" in told


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        ("2026-11-01", "2026-12-01", "1 to 30 November 2026"),
        ("2026-10-26", "2026-11-23", "26 October to 22 November 2026"),
        ("2026-12-28", "2027-01-04", "28 December 2026 to 3 January 2027"),
    ],
)
def test_a_period_is_printed_by_its_first_and_last_day_in_the_time_zone_of_its_review(
    start, end, says
):
    begin, after = (
        int(datetime.fromisoformat(one).replace(tzinfo=ZoneInfo("Europe/Paris")).timestamp())
        for one in (start, end)
    )
    assert period_text(begin, after, "Europe/Paris") == says


@pytest.mark.parametrize("form", [markdown, lambda reports: page(reports, "Report")])
def test_a_report_states_its_time_zone_before_the_first_time(form):
    review = WORSE.replace(status=WORSE.status.replace(time_zone="Europe/Paris"))
    text = form([facts_of(review, CALM)])
    zone = "times of Europe/Paris (with a Z: UTC)"
    assert text.count(zone) == 1
    assert text.index(zone) < re.search(r"\d\d:\d\d", text).start()


def test_the_report_sums_its_days_and_computes_the_budget_from_them():
    accuracy = slo(facts_of(WORSE, CALM), "accuracy")
    days = [one for day in WORSE.status.days for one in day.slos if one.name == "accuracy"]
    bad, total = sum(day.bad for day in days), sum(day.total for day in days)
    assert accuracy.count == (bad, total)
    assert accuracy.budget_left == pytest.approx(1 - bad / (0.12 * total))
    assert accuracy.outside == sum(day.bad > 0.12 * day.total for day in days)


def test_a_market_with_few_events_is_unknown_and_one_that_is_bad_comes_first():
    markets = slo(facts_of(WORSE, CALM), "accuracy").markets
    states = {market.market: market.state for market in markets}
    assert (markets[0].market, states["AT"], states["BE"]) == ("AT", "Missed", "Unknown")


def test_a_missed_market_is_in_the_summary_with_its_times_interval_and_budget():
    recorded = month(11, wrong=0.08)
    recorded["status"]["missedMarkets"] = [
        {"slo": "accuracy", "market": "FR", "startTime": "2026-11-12T08:00:00Z",
         "endTime": "2026-11-14T09:00:00Z"},
        {"slo": "accuracy", "market": "FR", "startTime": "2026-11-20T10:00:00Z"},
    ]  # fmt: skip
    facts = facts_of(read_review(recorded), CALM)
    assert report_sentence(facts).startswith("Accuracy was missed in FR. ")
    france = slo(facts, "accuracy").markets[0]
    assert (france.market, france.state, france.required) == ("FR", "Met", 0.88)
    times = "2026-11-12 08:00 to 2026-11-14 09:00; since 2026-11-20 10:00"
    assert missed_time_texts(france, "UTC") == times
    bad, total = france.count
    assert france.budget_left == pytest.approx(1 - bad / (0.12 * total))
    low, high = france.interval
    assert low < 1 - bad / total < high
    row = next(
        line for line in markdown([facts]).splitlines() if line.startswith("| accuracy | FR")
    )
    assert times in row
    told = documents([facts])[0]["slos"][2]
    assert told["markets"]["FR"]["missed"] == [
        {name: missed_market[name] for name in ("startTime", "endTime") if name in missed_market}
        for missed_market in recorded["status"]["missedMarkets"]
    ]
    assert sum(point["events"] for point in told["marketEvolution"][0]["points"]) == total


def test_a_market_without_an_objective_is_compared_with_the_baseline_less_the_allowed_drop():
    without = month(11, wrong=0.08, austria=0.4)
    del without["status"]["slos"][2]["objective"]
    markets = {
        market.market: market
        for market in slo(facts_of(read_review(without), None), "accuracy").markets
    }
    assert markets["AT"].required == pytest.approx(1 - 865 / 10500 - 0.03)
    assert (markets["AT"].state, markets["AT"].budget_left) == ("Missed", None)


def test_each_operation_has_failures_and_response_times_beside_the_previous_period():
    def with_operations(number, failed):
        made = month(number, wrong=0.08)
        for day in made["status"]["days"]:
            day["operations"] = [
                {"name": "/rank", "responses": {"0.1": 40, "0.25": 50}, "failed": failed, "refused": 1},
                {"name": "/old", "responses": {"0.25": 5}},
            ]  # fmt: skip
        return read_review(made)

    facts = facts_of(with_operations(11, 9), with_operations(10, 1))
    rank, old = facts.operations
    assert (rank.now.name, rank.now.requests, rank.now.failed) == ("/rank", 3000, 270)
    assert (rank.before.requests, rank.before.failed) == (31 * 92, 31)
    # 45 of 90 are within 0.1 s (40) and a tenth of the way to 0.25 s (5 of 50).
    assert rank.now.median == pytest.approx(0.1 + 0.15 * 5 / 50)
    assert old.now.median == pytest.approx(0.1 + 0.15 / 2), "between its bound and the one before"
    row = next(line for line in markdown([facts]).splitlines() if line.startswith("| /rank"))
    assert "9.0 %" in row
    assert "115 ms (115 ms)" in row
    assert documents([facts])[0]["operations"][0]["failedBefore"] == 31
    assert facts_of(CALM, None).operations == ()


def test_a_report_lists_callers_with_requests_and_failures_and_marks_names_as_unverified():
    def with_callers(number, failed):
        made = month(number, wrong=0.08)
        for day in made["status"]["days"]:
            day["callers"] = {
                "catalog/search": [failed, 90],
                "finance/loan": [0, 0],
                "other": [0, 300],
            }
        return read_review(made)

    facts = facts_of(with_callers(11, 9), with_callers(10, 1))
    assert [(caller.name, caller.count) for caller in facts.callers] == [
        ("catalog/search", (270, 2700)),
        ("finance/loan", (0, 0)),
        ("other", (0, 9000)),
    ]
    text = markdown([facts])
    row = next(line for line in text.splitlines() if line.startswith("| catalog/search"))
    assert row.startswith("| catalog/search | 2,700 (2,790) | 23.1 % | 10.0 % ")
    assert "(before: 1.1 % " in row
    html = page([facts], "November")
    for shown in (text, html):
        assert "which is not authenticated" in shown
    assert documents([facts])[0]["callers"][0] == {
        "name": "catalog/search", "requests": 2700, "failed": 270,
        "requestsBefore": 2790, "failedBefore": 31,
    }  # fmt: skip
    assert "Who calls" not in markdown([facts_of(CALM, None)])


def test_an_objective_that_was_never_at_risk_is_named_in_the_report():
    facts = facts_of(CALM, None)
    assert "never at risk" in slo(facts, "availability").health
    assert slo(facts, "accuracy").against_before.change is PeriodChange.TOO_FEW


def test_a_ledger_modified_after_its_seal_is_detected():
    assert facts_of(CALM, None).digest_holds is True
    day = CALM.status.days[0]
    slos = (day.slos[0].model_copy(update={"bad": 0}), *day.slos[1:])
    days = (day.model_copy(update={"slos": slos}), *CALM.status.days[1:])
    forged = CALM.model_copy(update={"status": CALM.status.model_copy(update={"days": days})})
    facts = facts_of(forged, None)
    assert facts.digest_holds is False
    assert "digest does not match" in markdown([facts])


def test_open_actions_of_the_previous_period_are_carried_over():
    action = {"title": "Check the labels", "owner": "acb", "dueDate": "2026-12-01"}
    done = {"title": "Done one", "owner": "acb", "dueDate": "2026-11-01", "done": True}
    spec = CALM.spec.model_validate_json(
        json.dumps(document_of(CALM, actions=[action, done])["spec"]), by_name=False
    )
    before = CALM.model_copy(update={"spec": spec})
    facts = facts_of(WORSE, before)
    assert [open_action.title for open_action in facts.open_actions] == ["Check the labels"]
    assert [(last_action.title, last_action.state) for last_action in facts.last_actions] == [
        ("Check the labels", "open"), ("Done one", "done"),
    ]  # fmt: skip
    told = document_of(WORSE, actions=[action | {"done": True}])["spec"]
    spec = WORSE.spec.model_validate_json(json.dumps(told), by_name=False)
    ended = facts_of(WORSE.model_copy(update={"spec": spec}), before)
    assert (ended.open_actions, ended.last_actions[0].state) == ((), "done")
    late = facts_of(sealed_month(12, wrong=0.1), before)
    assert late.last_actions[0].state == "late"
    day = int(datetime(2026, 12, 2, tzinfo=UTC).timestamp())
    states = [facts_of(WORSE, before, now=day + n).last_actions[0].state for n in (-1, 0)]
    assert states == ["open", "late"], "by the day of the reader, once the period is over"


def test_a_late_action_is_in_each_later_review_until_it_is_done_or_repeated():
    def with_actions(review, *actions):
        spec = json.dumps(document_of(review, actions=list(actions))["spec"])
        return review.model_copy(
            update={"spec": review.spec.model_validate_json(spec, by_name=False)}
        )

    late = {"title": "Ask the label job", "owner": "mvr", "dueDate": "2026-10-20"}
    again = {"title": "Repeat", "owner": "acb", "dueDate": "2026-10-20"}
    first = with_actions(sealed_month(9, wrong=0.08), late, again)
    reviews = [first, with_actions(CALM, again | {"done": True}), WORSE]
    now = int(datetime(2026, 12, 3, tzinfo=UTC).timestamp())
    facts = facts_of(WORSE, reviews[1], reviews, now=now)
    assert [(last_action.title, last_action.state, last_action.agreed_in) for last_action in facts.last_actions] == [
        ("Repeat", "done", "pricing-2026-10"), ("Ask the label job", "late", "pricing-2026-09"),
    ]  # fmt: skip
    assert [open_action.title for open_action in facts.open_actions] == ["Ask the label job"]
    for text in (markdown([facts]), page([facts], "")):
        assert "agreed in pricing-2026-09" in text
    ended = with_actions(WORSE, late | {"done": True})
    facts = facts_of(ended, reviews[1], [*reviews[:2], ended], now=now)
    assert facts.open_actions == ()
    assert (facts.last_actions[-1].state, facts.last_actions[-1].agreed_in) == (
        "done", "pricing-2026-09",
    ), "the review that carries an action over isn't the one that agreed it"  # fmt: skip


def test_the_operations_that_a_version_adds_changes_and_deprecates_are_in_the_report():
    recorded = month(11, wrong=0.08)
    recorded["status"]["versions"][0]["apiChanges"] = {
        "added": ["POST /rank"], "deprecated": ["POST /predict"],
    }  # fmt: skip
    recorded["status"]["candidates"] = [
        {"version": "v15", "outcome": "RolledBack", "endTime": "2026-11-20T09:00:00Z",
         "apiChanges": {"broken": ["POST /old is removed"]}},
    ]  # fmt: skip
    facts = facts_of(read_review(recorded), CALM)
    text = markdown([facts])
    assert "- 2026-11-11 00:00 v14 promoted: added: POST /rank; deprecated: POST /predict" in text
    assert "v15 rolled back: changed or removed: POST /old is removed" in text
    assert documents([facts])[0]["api"][0] == {
        "version": "v14", "outcome": "Promoted", "added": ["POST /rank"],
        "deprecated": ["POST /predict"],
    }  # fmt: skip
    assert "No change of the API is known." in markdown([facts_of(CALM, None)])


def test_a_report_shows_an_objection_above_all_numbers():
    signature = {"username": "acb", "role": "DataProductManager", "verdict": "Object",
                 "note": "not Austria", "signTime": "2026-12-05T09:00:00Z"}  # fmt: skip
    spec = document_of(WORSE, signOffs=[signature])["spec"]
    spec = WORSE.spec.model_validate_json(json.dumps(spec), by_name=False)
    told = markdown([facts_of(WORSE.model_copy(update={"spec": spec}), CALM)])
    assert "**acb (DataProductManager) objects.**" in told.partition("| SLO")[0]


NAMES = (
    "[click](https://evil.example)", "![x](https://evil.example/x.png)", "https://evil.example", "www.evil.example",
    "<img src=x>", "a\n# Approved", "a\r\n- [x] all", "a\u2028b", "**bold**", "@everyone", "mail@evil.example",
    "&lt;b&gt;", "~~no~~", "`code`", "a | b",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_person_is_rendered_without_markup_and_links(name):
    html = (
        MarkdownIt("commonmark")
        .enable(["strikethrough", "table"])
        .render(f"- {_name(name)} signed")
    )
    plain = (
        " ".join(name.splitlines()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )
    assert html == f"<ul>\n<li>{plain} signed</li>\n</ul>\n"
    # What GitHub and others make a link or a mention without markup.
    assert not re.search(r"(?<!\\)://|www\.|(?<!\\)@", _name(name))


@pytest.mark.parametrize("verdict", ["Agree", "Object"])
def test_the_report_escapes_the_names_of_signers(verdict):
    signature = {"username": NAMES[0], "role": "DataProductManager", "verdict": verdict,
                 "signTime": "2026-12-05T09:00:00Z"}  # fmt: skip
    spec = document_of(WORSE, signOffs=[signature])["spec"]
    spec = WORSE.spec.model_validate_json(json.dumps(spec), by_name=False)
    told = markdown([facts_of(WORSE.model_copy(update={"spec": spec}), CALM)])
    assert NAMES[0] not in told
    assert _name(NAMES[0]) in told


FORMULAS = (
    "=1+1", "  =1+1", "\u00a0=1+1", "\ufeff=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "%x", "|x", "\t=1", "\r=1", "＝1",
    "x;=cmd|' /C calc'!A0;y", "x; =1", 'x;"=1"', "x\n=1", "x\t=1", "x;\u00a0-1", "a;b;+1",
)  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_text_is_no_formula_with_any_separator(text, separator):
    written = csv_text([("first", escape_cell(text), "last")], ("a", "b", "c"))
    for row in csv.reader(io.StringIO(written, newline=None), delimiter=separator):
        for one in row:
            for line in one.splitlines():
                assert line.strip().strip('"')[:1] not in set("=+-@|%＝"), (row, written)


@pytest.mark.parametrize(
    "text", ["plain", "a - b", "5 % better; all markets", "e=mc2", "a|b", "it's", "", "x;y", "1,-2"]
)
def test_an_ordinary_text_is_unchanged_in_csv(text):
    assert escape_cell(text) == text
    assert escape_cell(-0.5) == -0.5


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\x1b[2Jmallory\nnewline", "mallory newline"),
        ("\x1b]0;title\x07ana", "ana"),
        ("ok \u202egnorw", "ok gnorw"),
        ("\x1b[1m=1+1", "'=1+1"),
    ],
)
def test_csv_has_no_terminal_sequences_and_no_hidden_characters(text, written):
    assert escape_cell(text) == written


def test_json_and_csv_reports_have_the_same_values():
    facts = facts_of(WORSE, CALM)
    (told,) = documents([facts])
    rows = {row["slo"]: row for row in csv.DictReader(io.StringIO(as_csv([facts])))}
    for one in told["slos"]:
        row = rows[one["name"]]
        assert (int(row["bad"]), int(row["total"])) == (one["bad"], one["total"])
        assert row["change"] == one["changes"]["before"]["change"]
        assert float(row["cpu_hours"]) == told["resourceHours"]["reserved"]["cpu"] == 720
        trainings = told["resourceHours"]["trainings"]
        assert float(row["training_hours"]) == trainings["hours"] == 3
        assert float(row["training_cpu_hours"]) == trainings["reserved"]["cpu"] == 12


@pytest.mark.parametrize(
    ("share", "seconds"), [(0.5, 0.05 + 0.05 / 3), (0.95, 0.25), (0.995, None)]
)
def test_a_quantile_is_interpolated_within_its_bound_and_unknown_beyond_the_last(share, seconds):
    histogram = [(0.05, 40), (0.1, 70), (0.25, 95), (0.5, 99), (float("inf"), 100)]
    found = quantile_of(histogram, share)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_the_quantile_of_a_sum_is_less_than_the_sum_of_quantiles():
    even = [(1.0, 1000), (float("inf"), 1000)]  # any time up to a second
    half, late = quantiles_of_sum([even, even], (0.5, 0.95))
    assert half == pytest.approx(1.0, abs=0.03)
    assert late == pytest.approx(2 - 0.1**0.5, abs=0.03)  # and not 1.9
    assert quantiles_of_sum([even], (0.95,)) == pytest.approx((0.95,), abs=0.001)


def test_the_quantile_of_a_sum_is_unknown_if_one_part_is_unknown():
    even = [(1.0, 1000), (float("inf"), 1000)]
    slow = [(1.0, 900), (float("inf"), 1000)]
    assert quantiles_of_sum([even, slow], (0.5, 0.95))[1] is None
    assert quantiles_of_sum([even, []], (0.5,)) == (None,)
    assert quantiles_of_sum([], (0.5,)) == (None,)


def test_a_budget_is_a_share_with_the_name_of_its_band():
    assert budget_text(-0.2) == "overspent by 20 % (Exhausted)"
    assert budget_text(0.9) == "90 % left (Ample)"


# ---- the command -----------------------------------------------------------------------------
@pytest.fixture
def files(tmp_path):
    path = tmp_path / "reviews.yaml"
    listed = {"kind": "List", "items": [document_of(one) for one in (CALM, WORSE)]}
    path.write_text(yaml.dump(listed, Dumper=yaml.CSafeDumper))
    return path


def test_a_report_without_a_period_has_the_newest_sealed_period(files, capsys):
    assert main(["report", "pricing/pricing", "--from", str(files)]) == 0
    assert "# pricing/pricing, 1 to 30 November 2026" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pricing/pricing", "--period", "2026-13"], "name one of 2026-10, 2026-11"),
        (["pricing/gone"], "there is no review of pricing/gone: is the name right?"),
        (["pricing"], "write NAMESPACE/NAME"),
        ([], "use --all"),
        (["pricing/pricing", "--namespace", "pricing"], "or -n NAMESPACE NAME"),
        (["--all", "--namespace", "other"], "there is no review of any product"),
    ],
)
def test_the_report_command_reports_invalid_arguments_with_the_way_out(
    files, capsys, arguments, says
):
    assert main(["report", *arguments, "--from", str(files)]) == 2
    assert says in capsys.readouterr().err


def test_a_report_from_a_file_without_reviews_names_the_command_that_writes_one(tmp_path, capsys):
    path = tmp_path / "pod.yaml"
    path.write_text("kind: Pod\n")
    assert main(["report", "--all", "--from", str(path)]) == 2
    assert "kubectl get dprev -o yaml" in capsys.readouterr().err


def test_each_format_of_the_report_command_has_the_same_product(files, capsys):
    def said(form):
        arguments = ["--all", "--period", "2026-11", "--from", str(files), "-o", form]
        assert main(["report", *arguments]) == 0
        return capsys.readouterr().out

    schema = json.loads(
        (Path(sluicegate.cli.__file__).parent / "schemas" / "output.json").read_text()
    )
    found = json.loads(said("json"))
    jsonschema.validate(found, schema)
    assert yaml.safe_load(said("yaml")) == found
    names = said("name").split()
    assert len(names) == len(found["reports"])
    assert "dataproductreview.sluicegate.dev/pricing-2026-11" in names


def test_a_report_has_readiness_and_delivery_metrics_of_each_product(files, capsys):
    assert main(["report", "--wheel", "--period", "2026-11", "--from", str(files)]) == 0
    told = capsys.readouterr().out
    assert "- runbook missing: add a link of type Runbook to spec.links" in told
    assert "- risk assessed exempt: until 2026-12-31: the assessment is under way" in told
    assert "product manager" not in told.split("## Readiness")[1]
    assert "- Lead time: median 1 d from a retraining or a commit to its promotion" in told
    reports = [facts_of(one, None) for one in (CALM, WORSE)]
    assert len({id(draw_report(reports, f"2026-12-{day:02}")) for day in range(1, 20)}) == 2


@pytest.mark.slow
def test_the_report_page_is_self_contained_and_escapes_user_texts(files, tmp_path):
    hostile = '<script>alert("x")</script>'
    documents = yaml.load(files.read_text(), yaml.CSafeLoader)
    documents["items"][1]["spec"] |= {"notes": hostile, "decisions": [hostile]}
    documents["items"][1]["status"]["decisions"][0]["message"] = hostile
    files.write_text(yaml.dump(documents, Dumper=yaml.CSafeDumper))
    out = tmp_path / "report.html"
    arguments = ["report", "--all", "--period", "2026-11", "-o", "html"]
    assert main([*arguments, "--file", str(out), "--from", str(files)]) == 0
    text = out.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"(src|href)=\"https?:", text)
    assert "url(http" not in text
    assert text.count('<svg class="chart"') == 12, (
        "four by day, four over both periods, four markets"
    )
    again = tmp_path / "again.html"
    assert main([*arguments, "--file", str(again), "--from", str(files)]) == 0
    assert again.read_text() == text, "the same ledger gives the same page"


def test_an_unreadable_review_is_omitted_from_the_report_and_named(capsys):
    broken = document_of(CALM)
    broken["status"]["days"] = 7
    assert list(readable([broken, document_of(WORSE)])) == [WORSE]
    told = capsys.readouterr().err
    assert "left out: the DataProductReview pricing/pricing-2026-10 can't be read" in told

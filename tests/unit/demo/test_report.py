"""The summary says what was measured, and a story with one thing missing isn't a success."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

from demo.answers import Counts
from demo.picture import description, picture
from demo.report import Accuracy, Check, Level, Report, Requests, summary
from demo.terminal import Row

MOMENTS = {
    "served": 20.0,
    "healthy": 90.0,
    "shifted": 91.0,
    "degraded": 151.0,
    "proved": 190.5,
    "promoted": 340.0,
    "recovered": 365.0,
}
ACCURACY = Accuracy("pricing", Counts(920, 80), Counts(770, 230), Counts(915, 85))


def report(**changes):
    values = {
        "moments": MOMENTS,
        "accuracies": [ACCURACY],
        "requests": Requests(12_345, 0),
        "checks": [Check("no request failed", held=True)],
        "rows": [Row(151.0, "pricing", "Degraded", "Retrain (ModelDecay)", 0.77, 0.92)],
    }
    return Report(**(values | changes))


def test_demo_durations_are_the_times_between_events():
    assert report().durations == {
        "detect": 60.0,
        "retrain": 39.5,
        "promote": 149.5,
        "recover": 274.0,
        "story": 345.0,
    }


def test_a_demo_duration_without_an_end_is_omitted():
    cut = {name: MOMENTS[name] for name in ("served", "healthy", "shifted")}
    assert report(moments=cut).durations == {}


def test_the_demo_succeeded_only_if_every_check_passed_without_an_early_end():
    assert report().failures == []
    missed = [Check("no request failed", held=False)]
    assert report(checks=missed).failures == ["not so: no request failed"]
    assert report(reason="expected pricing to become Degraded").failures == [
        "expected pricing to become Degraded"
    ]


def test_the_demo_report_is_json_with_the_numbers_and_the_timeline():
    document = json.loads(json.dumps(report().document()))
    assert document["passed"] is True
    assert document["seconds"]["detect"] == 60.0
    assert document["accuracy"]["pricing"]["during"] == {
        "right": 770, "judged": 1000, "accuracy": 0.77,
    }  # fmt: skip
    assert document["requests"] == {"sent": 12_345, "failed": 0, "failures": {}}
    assert document["timeline"][0]["text"] == "Retrain (ModelDecay)"


def test_the_demo_summary_has_times_accuracies_and_requests():
    text = "\n".join(summary(report()))
    assert "time to detect                1:00" in text
    assert "92.0 % before (n=1,000), 77.0 % during (n=1,000), 91.5 % after (n=1,000)" in text
    assert "requests sent               12,345" in text
    assert "✓ no request failed" in text


def test_failed_demo_requests_are_counted_by_error():
    text = "\n".join(summary(report(requests=Requests(10, 3, {"502": 2, "TimeoutError": 1}))))
    assert "requests failed             3   (2 × 502, 1 × TimeoutError)" in text


def test_the_picture_of_a_story_has_each_products_accuracy_and_dated_events():
    levels = [
        Level(90.0 + number, product, 0.92 if number < 60 else 0.78)
        for number in range(0, 120, 5)
        for product in ("pricing", "search-ranking")
    ]
    document = report(levels=levels).document()
    drawn = picture(document)
    root = ET.fromstring(drawn)
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [24, 24]
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "degraded 2:31" in texts
    assert {"pricing", "search-ranking"} <= set(texts)
    assert "pricing: 92.0% before (n=1,000), 77.0% during (n=1,000)" in description(document)
    for x in re.findall(r' x(?:1|2)?="([\d.-]+)"', drawn):
        assert 0 <= float(x) <= 880


def test_a_story_that_ended_at_once_has_a_picture_too():
    drawn = picture(report(moments={}, accuracies=[], levels=[]).document())
    assert ET.fromstring(drawn).tag.endswith("svg")

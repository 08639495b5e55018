"""The distance from the first acceptance, beside the one since the last: the same for the page and the plugin."""

from __future__ import annotations

import pytest

from sluicegate.cli.kubectl.status import lines
from sluicegate.views.initial import distance_text, initial_distance
from sluicegate.views.product import distance_line, initial_distances
from sluicegate.views.product_facts import read_facts
from tests.support.portfolio.products import degraded, document
from tests.support.portfolio.served import served, store_of

FIRST = {"bad": 865, "total": 10500, "startTime": "2026-01-01T00:00:00Z",
         "endTime": "2026-01-08T00:00:00Z", "source": "Production", "dispersion": "1"}  # fmt: skip


def promoted(**baseline):
    """A product whose stable version has a baseline of its own, worse than the first one."""
    engine = {"originalBaseline": {"version": "v1", "slos": {"accuracy": FIRST | baseline}}}
    return document(status=degraded() | {"engine": engine})


@pytest.mark.parametrize(
    ("drop", "lower", "upper", "text"),
    [
        (0.04, 0.03, 0.05, "worse by 4.0 points [3.0, 5.0]"),
        (-0.04, -0.05, -0.03, "better by 4.0 points [3.0, 5.0]"),
        (0.01, -0.01, 0.03, "no evidence of a change [-3.0, +1.0]"),
        (0.05, -0.000101, 0.107, "no evidence of a change [-10.7, 0.0]"),
        (0.04, None, None, "worse by 4 points"),
    ],
    ids=[
        "a fall",
        "a gain",
        "an interval with 0 proves nothing",
        "the width gives the digits",
        "without an interval",
    ],
)
def test_the_distance_from_the_first_acceptance_has_its_interval(drop, lower, upper, text):
    assert distance_text(drop, lower, upper) == text


def test_the_distance_from_the_first_acceptance_requires_events_at_both_times():
    assert initial_distance("a", "v1", initial_counts=(0, 0), present_counts=(1, 10)) is None
    assert initial_distance("a", "v1", initial_counts=(1, 10), present_counts=(0, 0)) is None


def test_a_baseline_with_bursts_has_a_wider_interval():
    narrow, wide = (
        initial_distance(
            "a", "v1", initial_counts=(865, 10500), present_counts=(190, 1200), phi=phi
        )
        for phi in (1.0, 4.0)
    )
    assert narrow is not None
    assert wide is not None
    assert narrow.drop == wide.drop == pytest.approx(190 / 1200 - 865 / 10500)
    assert wide.upper - wide.lower == pytest.approx(2 * (narrow.upper - narrow.lower), rel=0.05)


def test_a_promotion_does_not_reset_the_distance_from_the_first_acceptance():
    facts = read_facts(promoted())
    assert facts.change is not None
    assert facts.change.drop == pytest.approx(0.039)
    [initial] = facts.initial_distances
    assert (initial.slo, initial.version) == ("accuracy", "v1")
    assert initial.drop == pytest.approx(0.0759, abs=1e-4)
    assert read_facts(document(status=degraded())).initial_distances == ()


def test_page_and_plugin_compute_the_same_distance():
    body = promoted(dispersion="2.5")
    assert initial_distances(body) == {one.slo: one for one in read_facts(body).initial_distances}


def test_the_plugin_prints_both_distances_below_the_slo():
    shown = lines(promoted())
    place = next(n for n, one in enumerate(shown) if one.startswith("SLO accuracy"))
    assert shown[place + 1] == (
        "  since acceptance: worse by 3.9 points [1.8, 6.0];"
        " since the first acceptance (v1: 91.8 %, n=10,500): worse by 7.6 points [5.6, 9.8]"
    )
    assert distance_line({"name": "a"}, None) == ""


async def test_the_pages_show_both_distances_and_sort_by_the_one_from_the_first_acceptance():
    async with served(store_of([promoted(), document("eta", "logistics")])) as page:
        for path in ("/", "/products/pricing/pricing"):
            text = await (await page.get(path)).text()
            assert "worse by 3.9 points" in text
            assert "worse by 7.6 points [5.6, 9.8]</span>; v1: 91.8 %, n=10,500" in text
        told = await (await page.get("/portfolio.json?sort=initial")).json()
        table = await (await page.get("/portfolio.csv?sort=initial")).text()
    assert [product["name"] for product in told["products"]] == ["pricing", "eta"]
    assert told["products"][0]["initial"][0]["version"] == "v1"
    head, first, _ = (line.split(",") for line in table.splitlines())
    assert dict(zip(head, first, strict=True))["initialVersion"] == "v1"

"""How events are called by market: as the library counts them, and as their blocks are kept."""

from __future__ import annotations

import pytest

from sluicegate.api.slos import Indicator
from sluicegate.slo.by_market import indicator_label, market_series, split_series


@pytest.mark.parametrize(
    ("indicator", "label"),
    [
        ({"availability": {}}, "availability"),
        ({"latency": {"thresholdMilliseconds": 250}}, "latency:250"),
        ({"outcomes": {}}, "outcomes"),
        ({"events": {}}, "slo"),
        ({"events": {"indicator": "clicks"}}, "clicks"),
        ({"counters": {"good": "good_total", "total": "all_total"}}, ""),
        ({"gauge": {"metric": "basket"}}, ""),
    ],
)
def test_the_library_counts_the_events_of_an_slo_by_market_under_one_name(indicator, label):
    assert indicator_label("slo", Indicator(**indicator)) == label


def test_the_name_of_a_series_has_its_slo_and_its_market():
    assert split_series(market_series("clicks", "FR")) == ("clicks", "FR")
    assert split_series("clicks") == ("clicks", "")

"""How the blocks of an SLO in one market are called."""

from __future__ import annotations

from sluicegate.slo.by_market import market_series, split_series


def test_the_name_of_a_market_series_has_its_slo_and_its_market():
    assert split_series(market_series("clicks", "FR")) == ("clicks", "FR")
    assert split_series("clicks") == ("clicks", "")

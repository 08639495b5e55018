"""What the demonstration reads of one country that alone is bad."""

from __future__ import annotations

import pytest

from demo import review
from demo.countries import COUNTRY, SHOCK, alone, markets
from demo.errors import DemoError
from demo.samples import SAMPLES
from used_car_market import SHOCKS

TEXT = "accuracy: AT 31.0 % (n=412) is bad; BE, ES, FR, GB, IT are OK"
PRODUCT = {
    "status": {
        "diagnosis": {
            "evidence": [
                {"check": "Traffic", "message": "as usual"},
                {"check": "MarketAlone", "message": TEXT},
            ]
        },
        "slos": [
            {"name": "latency", "markets": [{"market": "FR", "state": "Met"}]},
            {"name": "accuracy", "markets": [
                {"market": "AT", "state": "Missed", "ratio": "0.31", "total": 412},
                {"market": "BE", "state": "Unknown"}]},
        ],
    }
}  # fmt: skip


def test_the_demo_reads_the_diagnosis_and_the_markets_from_status():
    assert alone(PRODUCT) == TEXT
    assert markets(PRODUCT) == [
        "accuracy in AT: Missed, 31.0 % (n=412)",
        "accuracy in BE: Unknown, – (n=0)",
    ]
    assert (alone({"status": {}}), markets({"status": {}})) == ("", [])


def test_the_demo_shock_hits_a_country_of_both_products():
    assert set(SHOCKS[SHOCK].country_price) == {COUNTRY}
    assert all(COUNTRY in sample.file()["spec"]["markets"] for sample in SAMPLES)


@pytest.mark.slow
def test_a_demo_report_that_cannot_be_written_has_the_reason(tmp_path):
    class Backend:
        kubeconfig = tmp_path / "none"

    with pytest.raises(
        DemoError,
        match=r"(?s)sluicegate report --all --live .* failed: .*kubeconfig: there is no .*none",
    ):
        review.write_review(Backend(), "http://127.0.0.1:9")

"""A report on a period that goes on: what the ledger hasn't got yet is read, and nothing is written."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from sluicegate.__main__ import main
from sluicegate.cli.reviews.report import choose
from sluicegate.cli.reviews.report_live import missing_days, step_of, with_missing_days
from sluicegate.kube.resources import DATA_PRODUCTS
from sluicegate.prometheus.timing import Timing
from sluicegate.reporting.text import markdown
from sluicegate.settings import parse_settings
from tests.support.decisions.ledger_world import ZONE, counted, world
from tests.support.decisions.recorded_days import DAY
from tests.support.decisions.reviewed import sealed_month

HOUR = 3600


async def test_a_live_report_counts_today_up_to_the_newest_block():
    async with world() as it:
        await it.pass_time(2 * DAY + 7 * HOUR, step=8 * HOUR)
        (review,) = it.all().values()
        until = Timing().newest_complete(it.now, 300) * 300
        truth = it.history.recount(ZONE, until=until)
        assert len(review.status.days) < len(truth) == 3
        before = len(it.server.writes)
        settings = parse_settings({"SLUICEGATE_PROMETHEUS_URL": it.stand_in.url})
        live = await with_missing_days([review], [it.product()], settings, it.now)
        found = counted({one.metadata.name: one for one in live})
        assert {date: of["availability"] for date, of in found.items()} == {
            date: of["availability"] for date, of in truth.items()
        }
        assert len(it.server.writes) == before
        (facts,) = choose(live, ("pricing", "pricing"), "", open_too=True)
        assert (
            "State: the period goes on, and labels of its days may still come (not sealed)"
            in markdown([facts])
        )


@pytest.mark.slow
async def test_the_report_command_reads_cluster_and_prometheus_and_writes_a_page(
    tmp_path, monkeypatch
):
    """As a person, or the end of a demonstration, has it."""
    async with world() as it:
        await it.pass_time(DAY + 7 * HOUR, step=8 * HOUR)
        it.server.keep(DATA_PRODUCTS, it.product().to_dict())
        kubeconfig = {
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": it.server.configuration.host}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
        }  # fmt: skip
        (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.setenv("SLUICEGATE_PROMETHEUS_URL", it.stand_in.url)
        now = it.now
        monkeypatch.setattr("sluicegate.cli.reviews.report.time", SimpleNamespace(time=lambda: now))
        page = tmp_path / "page.html"
        arguments = ["--live", "-o", "html", "--file", str(page)]
        assert await asyncio.to_thread(main, ["report", "--all", *arguments]) == 0
        text = page.read_text()
        assert "the period goes on" in text
        truth = it.history.recount(ZONE, until=Timing().newest_complete(now, 300) * 300)
        requests = sum(of["availability"][1] for of in truth.values())
        assert f"n={requests:,}" in text


def test_a_sealed_review_gets_no_missing_days():
    review = sealed_month(11, wrong=0.1)
    assert missing_days(review, Timing(), review.spec.period.start + 3 * DAY) == []


@pytest.mark.parametrize(("scrape", "step"), [(1.0, 60), (15.0, 60), (30.0, 300)])
def test_a_recent_day_is_read_in_minutes_if_a_minute_has_four_scrapes(scrape, step):
    assert step_of(Timing(scrape_seconds=scrape)) == step


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--live"], "set SLUICEGATE_PROMETHEUS_URL"),
        (["--live", "--from", "reviews.yaml"], "leave out --from"),
    ],
)
def test_a_live_report_without_prometheus_names_the_option_to_set(
    monkeypatch, capsys, arguments, says
):
    monkeypatch.delenv("SLUICEGATE_PROMETHEUS_URL", raising=False)
    assert main(["report", "pricing/pricing", *arguments]) == 2
    assert says in capsys.readouterr().err
